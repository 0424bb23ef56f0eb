"""A small network learns from a larger one that was trained before."""

import json
import shutil

import pytest
from safetensors.torch import load_file
from short_runs import begun

SMALL = (
    "--epochs", "2", "--batch-size", "6", "--workers", "0", "--threads", "1", "--device", "cpu",
    "--lr", "0.05",
)  # fmt: skip


def line(photos, teacher, *words):
    return ("train", "tutorials/mlp", "--data", photos, *SMALL, "--teacher", teacher, *words)


def test_it_is_said_and_resuming_it_is_exact(zoo, photos, finished_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = zoo(*line(photos, finished_run, "--verify-resume", "--name", "taught"))
    assert code == 0, err
    said = out + err
    assert f"cross-entropy and a teacher ({finished_run}, share 0.5, temperature 4)" in said
    assert "the same bits" in said
    code, out, _ = zoo("train", "tutorials/mlp", "--data", photos, *SMALL, "--name", "alone")
    assert code == 0
    files = (tmp_path / "runs" / name / "metrics.jsonl" for name in ("taught", "alone"))
    runs = ([json.loads(text) for text in file.read_text().splitlines()] for file in files)
    taught, alone = ([row["loss"] for row in run if row["kind"] == "step"] for run in runs)
    assert len(taught) == len(alone)
    assert taught[0] != alone[0]


def test_a_frozen_part_is_not_cut_off(zoo, photos, finished_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    frozen = ("--freeze", "hidden1", "--allow-random-frozen", "--dry-run=full")
    code, out, err = zoo(*line(photos, finished_run, *frozen))
    assert code == 0, err
    assert "runs uncut: the teacher is shown the images" in out + err


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--temperature", "2"), 2, "--temperature is about a teacher, and there is none"),
        (("--teacher", "run:nobody"), 5, "--teacher: no run 'nobody'"),
        (("--teacher", "x", "--teacher-share", "1.5"), 2, "--teacher-share 1.5: expected a number"),
    ],
)
def test_what_is_wrong_is_said_at_once(zoo, photos, words, code, said):
    found, _, err = zoo("train", "tutorials/mlp", "--data", photos, *words)
    assert (found, said in err) == (code, True), err


def test_a_teacher_of_other_classes_is_refused(zoo, finished_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = zoo("train", "tutorials/mlp", "--data", "digits", "--teacher", finished_run)
    assert code == 2
    assert "the teacher does not know the classes" in err
    assert "then --teacher run:NAME" in err


def test_a_stopped_run_finds_its_teacher_from_anywhere_and_takes_no_other(
    zoo, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    begun(0, name="large", epochs=1)
    other = begun(0, name="other", epochs=1, seed=1).resolve()
    taught = {"teacher": "run:large", "epochs": 2, "save_every": "2"}
    whole = begun(0, name="whole", **taught).resolve()
    torn, lost = (begun(1, name=name, **taught).resolve() for name in ("torn", "lost"))
    monkeypatch.chdir(other)
    code, _, err = zoo("resume", torn)
    assert code == 0, err
    ours, theirs = (load_file(run / "model.safetensors") for run in (torn, whole))
    assert ours.keys() == theirs.keys()
    assert all(ours[name].equal(theirs[name]) for name in ours)
    shutil.copy(other / "model.safetensors", tmp_path / "runs" / "large" / "model.safetensors")
    code, _, err = zoo("resume", lost)
    assert code == 5
    assert "the teacher run:large is another one than when the run began" in err
    assert "hint: bring that one back" in err
    shutil.rmtree(tmp_path / "runs" / "large")
    code, _, err = zoo("resume", lost)
    assert code == 5
    assert "--teacher: no run 'large'" in err
