"""A run changes its number of processes, is sharded, and loses one: the real command, real ranks."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time

import forked
import pytest
from safetensors.torch import load_file

from zoo.core.registry import load
from zoo.engine.saving.checkpoint import list_states

MODEL = "tutorials/lenet"
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(MODEL not in load().shelf("model"), reason="needs zoo-tutorials"),
]
TRAIN = f"train {MODEL} --data digits --epochs 2 --device cpu --threads 1 --precision fp32 "
TRAIN += "--optimizer sgd --lr 0.05 --save-every 5 --name run"
TOLERANCE = 1e-5
"""Largest difference of a weight after 44 steps of SGD, between one process and two.

Usually it is 5e-8; 1.5e-6 was seen where one process became two that share the parameters.
"""


def environment():
    kept = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    return {**kept, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}


def start(folder, *arguments):
    return subprocess.Popen(
        [sys.executable, "-m", "zoo", *arguments],
        cwd=folder, env=environment(), text=True,
        start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip


def finish(process):
    said, _ = process.communicate(timeout=240)
    return process.returncode, said


def zoo(folder, *arguments):
    """What a command says, and its exit code; those of one process are forks."""
    if " --nproc " in f" {' '.join(arguments)} ".replace(" --nproc 1 ", " "):
        return finish(start(folder, *arguments))
    done = forked.run(["-m", "zoo", *arguments], cwd=folder, env=environment())
    return done.returncode, done.stdout + done.stderr


def wait_for_steps(folder, count, process):
    metrics = folder / "runs" / "run" / "metrics.jsonl"
    while not metrics.exists() or metrics.read_text().count("\n") < count:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)


def stopped(folder, *arguments):
    """A run that SIGTERM stops in the middle of its first epoch."""
    process = start(folder, *TRAIN.split(), *arguments)
    wait_for_steps(folder, 7, process)
    process.send_signal(signal.SIGTERM)
    code, said = finish(process)
    assert code == 143, said
    step = list_states(folder / "runs" / "run")[0][0]
    assert 0 < step < 22
    return said


def end(folder):
    return load_file(list_states(folder / "runs" / "run")[0][1])


def far(one, other):
    assert sorted(one) == sorted(other)
    weights = [name for name in one if name.startswith("model/")]
    return max(float((one[name] - other[name]).abs().max()) for name in weights)


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    """The run of one process with the same global batch, never interrupted."""
    folder = tmp_path_factory.mktemp("alone")
    code, said = zoo(folder, *TRAIN.split(), "--batch-size", "64")
    assert code == 0, said
    return end(folder)


def test_two_processes_become_one_inside_an_epoch(alone, tmp_path):
    stopped(tmp_path, "--batch-size", "32", "--nproc", "2")
    code, said = zoo(tmp_path, "resume", "run", "--nproc", "3")
    assert (code, said.count("error: ")) == (2, 1), said  # all three refuse, one speaks
    assert "batches of 64 images cannot be shared by 3 processes" in said
    assert "hint: --nproc 2 or 4" in said
    code, said = zoo(tmp_path, "resume", "run", "--nproc", "1")
    assert code == 0, said
    assert "begun with 2 processes, now 1 process with 64 of 64 images each" in said
    assert far(end(tmp_path), alone) <= TOLERANCE
    code, said = zoo(tmp_path, "resume", "run", "--nproc", "2")
    assert (code, "is finished" in said) == (0, True), said
    code, said = zoo(tmp_path, "resume", "run")
    assert (code, "is finished" in said) == (0, True), said


def test_one_process_becomes_two_that_share_the_parameters(alone, tmp_path):
    stopped(tmp_path, "--batch-size", "64", "--parallel", "fsdp")
    code, said = zoo(tmp_path, "resume", "run", "--nproc", "2")
    assert code == 0, said
    assert "begun with 1 process, now 2 processes with 32 of 64 images each" in said
    assert "61,706 parameters over 2 processes (FSDP2), gathered by part: conv1" in said
    assert far(end(tmp_path), alone) <= TOLERANCE


def test_a_killed_process_is_replaced_and_nothing_is_lost(alone, tmp_path):
    process = start(
        tmp_path, *TRAIN.split(), "--batch-size", "32", "--nproc", "2", "--retries", "1"
    )
    wait_for_steps(tmp_path, 7, process)
    ranks = [pid for pid in below(process.pid) if environment_of(pid).get("RANK") == "1"]
    os.kill(ranks[0], signal.SIGKILL)
    code, said = finish(process)
    assert code == 0, said
    assert "Traceback" not in said
    assert far(end(tmp_path), alone) <= TOLERANCE


def below(pid):
    """Processes that a process started, and those that they started."""
    path = f"/proc/{pid}/task/{pid}/children"
    with open(path) as children:
        mine = [int(word) for word in children.read().split()]
    return [*mine, *(other for child in mine for other in below(child))]


def environment_of(pid):
    with open(f"/proc/{pid}/environ") as entries:
        return dict(word.split("=", 1) for word in entries.read().split("\0") if "=" in word)
