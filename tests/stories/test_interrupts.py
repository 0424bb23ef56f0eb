"""Ctrl-C, SIGTERM and kill -9 against the real command, with one process and with two."""

from __future__ import annotations

import json
import os
import signal
import socket
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
TRAIN += "--ema 0.9 --accumulate 3 --save-every 5 --name run"


def zoo(folder, *arguments, wait=True):
    """What a command says and its exit code; or without waiting, a process to be interrupted."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore"}
    for name in ("RANK", "WORLD_SIZE", "LOCAL_RANK"):
        environment.pop(name, None)
    command = ["-m", "zoo", *arguments]
    if wait and "--nproc" not in arguments:
        done = forked.run(command, cwd=folder, env=environment)
        return done.returncode, done.stdout + done.stderr
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=folder, env=environment, text=True, start_new_session=True,
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
    )  # fmt: skip
    return finish(process) if wait else process


def finish(process):
    said, _ = process.communicate(timeout=120)
    return process.returncode, said


def wait_for_steps(folder, count, process):
    metrics = folder / "runs" / "run" / "metrics.jsonl"
    while not metrics.exists() or metrics.read_text().count("\n") < count:
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.005)


def rows(folder):
    lines = (folder / "runs" / "run" / "metrics.jsonl").read_text().splitlines()
    drop = ("images_per_second", "seconds")
    return [{k: v for k, v in json.loads(line).items() if k not in drop} for line in lines]


def end(folder):
    """Every tensor of the last state, as bytes."""
    _, path = list_states(folder / "runs" / "run")[0]
    return {name: value.numpy().tobytes() for name, value in load_file(path).items()}


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    code, said = zoo(folder, *TRAIN.split())
    assert code == 0, said
    return folder


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGKILL, -9)])
def test_a_stopped_command_goes_on_to_the_same_bits(whole, tmp_path, number, code):
    process = zoo(tmp_path, *TRAIN.split(), wait=False)
    wait_for_steps(tmp_path, 7, process)
    process.send_signal(number)
    ended, said = finish(process)
    assert ended == code, said
    if number != signal.SIGKILL:
        assert f"stopped by {number.name}" in said
        assert "zoo resume runs/run" in said
        assert "Traceback" not in said
    code, said = zoo(tmp_path, "resume", "run")
    assert code == 0, said
    assert end(tmp_path) == end(whole)
    assert rows(tmp_path) == rows(whole)
    code, said = zoo(tmp_path, "resume", "run")
    assert (code, "finished" in said) == (0, True)


def test_a_second_command_is_told_who_has_the_run(tmp_path):
    process = zoo(tmp_path, *TRAIN.split(), wait=False)
    wait_for_steps(tmp_path, 1, process)
    process.send_signal(signal.SIGSTOP)
    try:
        heard = [zoo(tmp_path, "resume", "run"), zoo(tmp_path, *TRAIN.split())]
    finally:
        process.send_signal(signal.SIGCONT)
        process.kill()
        process.communicate()
    for code, said in heard:
        assert code == 10, said
        assert f"in use by process {process.pid} on {socket.gethostname()}" in said
        assert "data" not in said  # it was not even looked at


def test_two_processes_stop_together_and_go_on_together(tmp_path):
    command = [*TRAIN.split(), "--nproc", "2"]
    for name in ("whole", "stopped"):
        (tmp_path / name).mkdir()
    code, said = zoo(tmp_path / "whole", *command)
    assert code == 0, said
    process = zoo(tmp_path / "stopped", *command, wait=False)
    wait_for_steps(tmp_path / "stopped", 4, process)
    process.send_signal(signal.SIGTERM)
    code, said = finish(process)
    assert code == 143, said
    assert said.count("error: stopped by SIGTERM") == 1
    assert "Traceback" not in said
    code, said = zoo(tmp_path / "stopped", "resume", "run")
    assert code == 0, said
    assert end(tmp_path / "stopped") == end(tmp_path / "whole")
    assert rows(tmp_path / "stopped") == rows(tmp_path / "whole")
