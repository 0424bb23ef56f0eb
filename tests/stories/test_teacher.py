"""A small network learns from a larger one that was trained before."""

import json

import pytest

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
