import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

LINE = (
    "train", "tutorials/lenet", "--data", "demo", "--classes", "4", "--size", "32",
    "--batch-size", "4", "--workers", "0", "--threads", "1", "--precision", "fp32",
)  # fmt: skip


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_run_that_is_not_there(zoo):
    code, _, err = zoo("resume", "gone")
    assert code != 0
    assert "gone" in err
    assert "hint: " in err


def test_a_finished_run_says_so_and_is_no_error(zoo):
    assert zoo(*LINE, "--epochs", "1", "--name", "one")[0] == 0
    before = Path("runs/one/model.safetensors").read_bytes()
    code, out, err = zoo("resume", "one")
    assert code == 0
    assert "finished" in out + err
    assert Path("runs/one/model.safetensors").read_bytes() == before
    assert json.loads(zoo("resume", "runs/one", "--json")[1])["name"] == "one"


@pytest.mark.slow
def test_an_interrupted_run_goes_on_to_the_same_weights(zoo):
    """Ctrl-C in the middle, then resume: bit for bit what an undisturbed run gives."""
    assert zoo(*LINE, "--epochs", "40", "--name", "whole")[0] == 0
    process = subprocess.Popen(
        [sys.executable, "-m", "zoo", *LINE, "--epochs", "40", "--name", "torn"],
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ,
    )
    for line in process.stderr:
        if "epoch  3/40" in line:
            break
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert "zoo resume" in err
    assert zoo("runs", "--json")[0] == 0
    code, _, err = zoo("resume", "torn")
    assert code == 0, err
    same = [Path(f"runs/{n}/model.safetensors").read_bytes() for n in ("whole", "torn")]
    from safetensors.torch import load

    whole, torn = map(load, same)
    assert whole.keys() == torn.keys()
    assert all(whole[name].equal(torn[name]) for name in whole)
