"""Two machines on loopback: torchrun once per machine, by hand and by the Slurm script of the docs."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import subprocess
import sys
from pathlib import Path

import forked
import pytest
import torch
from safetensors.torch import load_file

import zoo
from zoo.core.registry import load
from zoo.engine.saving.checkpoint import list_states

MODEL = "tutorials/lenet"
ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "how-to" / "processes.md"
SLURM = re.search(r"```bash\n(#!/bin/bash\n#SBATCH.*?)```", PAGE.read_text(), re.DOTALL)
pytestmark = pytest.mark.skipif(MODEL not in load().shelf("model"), reason="needs zoo-tutorials")
SRUN = """#!/bin/bash
# one process a machine, as srun does, on this one machine
for node in 0 1; do SLURM_NODEID=$node "$@" & pids="$pids $!"; done
code=0
for pid in $pids; do wait "$pid" || code=$?; done
exit $code
"""
SCONTROL = "#!/bin/bash\nprintf 'localhost\\nlocalhost\\n'\n"
TOLERANCE = 1e-6
"""Largest difference of a weight between one process and two after 22 steps of SGD.

Sums are rounded in another order. At a rate of 0.02 that moves weights by 1e-8; at 0.05 training
magnifies it: on some processors one thread and two already differ by 5e-5 then.
"""
QUIET = {"OMP_NUM_THREADS": "1", "PYTHONWARNINGS": "ignore", "TORCH_CPP_LOG_LEVEL": "ERROR"}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def environment(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("RANK", "WORLD_SIZE", "LOCAL_RANK")}
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**kept, **QUIET, "PATH": path, **more}


def last_state(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(list_states(folder)[0][1])


def test_the_slurm_script_is_valid_bash(tmp_path):
    assert SLURM, "docs/how-to/processes.md has no Slurm script"
    script = tmp_path / "job.sh"
    script.write_text(SLURM[1])
    done = subprocess.run(["bash", "-n", str(script)], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert "srun torchrun" in SLURM[1]
    assert "--rdzv-backend c10d" in SLURM[1]


@pytest.mark.slow
def test_the_slurm_script_trains_on_two_nodes_and_its_requeue_finds_it_finished(tmp_path):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name, text in (("srun", SRUN), ("scontrol", SCONTROL)):
        (tools / name).write_text(text)
        (tools / name).chmod(0o755)
    script = tmp_path / "job.sh"
    script.write_text(SLURM[1])
    seed = zoo.train(MODEL, data="digits", epochs=1, out=str(tmp_path / "seeds"), device="cpu")
    given = environment(
        SLURM_JOB_NODELIST="node[0-1]", SLURM_JOB_NUM_NODES="2", SLURM_JOB_ID="7",
        SLURM_GPUS_ON_NODE="1", PORT=str(free_port()), MODEL=f"file:{seed.weights}", DATA="digits",
    )  # fmt: skip
    given["PATH"] = f"{tools}{os.pathsep}{given['PATH']}"

    def job() -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["bash", str(script)], cwd=tmp_path, env=given, capture_output=True, text=True,
            check=False, timeout=240,
        )  # fmt: skip

    first = job()
    assert first.returncode == 0, first.stdout + first.stderr
    assert (first.stdout + first.stderr).count(
        "images of a batch each"
    ) == 1  # one of the two speaks
    run = tmp_path / "runs" / "base"
    assert [entry.name for entry in (tmp_path / "runs").iterdir()] == ["base"]
    result = json.loads((run / "result.json").read_text())
    assert result["epochs"] == 5
    second = job()
    assert second.returncode == 0, second.stdout + second.stderr
    assert "is finished" in second.stdout + second.stderr
    assert json.loads((run / "result.json").read_text()) == result


@pytest.mark.slow
def test_two_nodes_started_by_hand_are_one_run(tmp_path):
    train = f"finetune {MODEL} --weights none --data digits --epochs 1 --name run --device cpu "
    train += "--threads 1 --precision fp32 --optimizer sgd --lr 0.02"
    port = free_port()
    nodes = []
    for rank in (0, 1):
        command = [sys.executable, "-m", "torch.distributed.run", "--nnodes", "2"]
        command += ["--node-rank", str(rank), "--master-addr", "127.0.0.1"]
        command += ["--master-port", str(port), "--nproc-per-node", "1", "-m", "zoo"]
        nodes.append(
            subprocess.Popen(
                [*command, *train.split(), "--batch-size", "32"], cwd=tmp_path, env=environment(), text=True,
                stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True,
            )
        )  # fmt: skip
    try:
        said = [node.communicate(timeout=240)[0] for node in nodes]
    finally:
        for node in nodes:
            if node.poll() is None:
                os.killpg(node.pid, signal.SIGKILL)
    assert [node.returncode for node in nodes] == [0, 0], said
    assert "2, 32 images of a batch each" in said[0]
    assert "epoch 1/1" in said[0]
    assert "epoch 1/1" not in said[1]
    assert [entry.name for entry in (tmp_path / "runs").iterdir()] == ["run"]
    alone = tmp_path / "alone"
    alone.mkdir()
    command = ["-m", "zoo", *train.split(), "--batch-size", "64"]
    done = forked.run(command, cwd=alone, env=environment())
    assert done.returncode == 0, done.stdout + done.stderr
    two, one = last_state(tmp_path / "runs" / "run"), last_state(alone / "runs" / "run")
    for name, value in one.items():
        if name.startswith("model/"):
            assert float((two[name] - value).abs().max()) <= TOLERANCE, name
