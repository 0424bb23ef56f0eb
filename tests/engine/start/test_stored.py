import subprocess
import sys

import pytest
import torch
from safetensors.torch import save_file

from zoo.core.metadata import WEIGHTS_FILE
from zoo.engine.start.stored import not_ours, read_info, run_folder, weights_path
from zoo.errors import CheckpointError


@pytest.fixture
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("base", "begun"):
        (tmp_path / "runs" / name).mkdir(parents=True)
        (tmp_path / "runs" / name / "recipe.toml").write_text("schema = 1\n")
    save_file({"a": torch.zeros(1)}, tmp_path / "runs" / "base" / WEIGHTS_FILE)
    return tmp_path / "runs"


def test_a_run_by_name_by_folder_and_by_source(runs):
    there = runs / "base" / WEIGHTS_FILE
    for reference in ("base", str(runs / "base"), "run:base", str(there), f"file:{there}"):
        assert weights_path(reference).resolve() == there
    assert run_folder("base", "runs").resolve() == runs / "base"
    assert weights_path("base", str(runs)) == there


def test_a_file_wins_over_a_run_only_where_it_is_not_spelled_run(runs):
    (runs.parent / "base").write_bytes(b"")
    assert weights_path("base").name == "base"
    assert weights_path("run:base").name == WEIGHTS_FILE


@pytest.mark.parametrize(
    ("reference", "said", "hint"),
    [
        ("bse", "no run 'bse' in runs/", "did you mean base?"),
        ("zzzzzz", "no run 'zzzzzz'", "zoo runs"),
        ("begun", "has no model.safetensors yet", "zoo resume runs/begun"),
        ("file:gone", "no file gone", ""),
        ("gone.safetensors", "no file gone.safetensors", ""),
    ],
)
def test_what_is_not_there(runs, reference, said, hint):
    with pytest.raises(CheckpointError, match=said) as caught:
        weights_path(reference)
    assert hint in caught.value.hint


def test_a_finished_run_is_not_said_to_have_no_weights_yet(runs):
    (runs / "begun" / "result.json").write_text("{}")
    with pytest.raises(
        CheckpointError, match=r"is finished, but its model\.safetensors is gone"
    ) as e:
        weights_path("begun")
    assert e.value.hint == "restore it from a copy"


def test_a_folder_that_is_no_run(runs):
    (runs / "other").mkdir()
    with pytest.raises(CheckpointError) as caught:
        weights_path("other")
    assert caught.value.hint == "zoo runs"


def test_a_record_is_read_without_the_tensors(finished_run):
    path, info = read_info(str(finished_run))
    assert path == finished_run / WEIGHTS_FILE
    assert info.model == "tutorials/lenet"
    assert info.classes == ("dark", "light")


def test_a_file_of_others_says_how_to_import_it(runs):
    with pytest.raises(CheckpointError, match="was not written by zoo") as caught:
        read_info("base")
    assert "zoo import runs/base/model.safetensors --as MODEL" in caught.value.hint
    assert not_ours(runs).exit_code == 5


def test_no_torch_is_needed(finished_run):
    code = (
        "import sys; from zoo.engine.start.stored import read_info; "
        f"read_info({str(finished_run)!r}); sys.exit('torch' in sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
