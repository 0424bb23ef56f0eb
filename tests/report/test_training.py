"""zoo.report.training: curves and proof, from a run's folder."""

import json
import shutil

import pytest
from judged import loaded_from

import zoo
from zoo.engine.result import read_result
from zoo.report.training import Epoch, read_training


def test_a_real_run(finished_run):
    found = read_training(zoo.load(finished_run))
    lines = (finished_run / "metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    rows = [row for row in rows if row["kind"] == "epoch"]
    assert [e.number for e in found.epochs] == [1, 2, 3]
    assert [e.val_loss for e in found.epochs] == [row["val"]["loss"] for row in rows]
    assert [e.train_top1 for e in found.epochs] == [row["train"]["top1"] for row in rows]
    assert found.best == read_result(finished_run).best_epoch
    assert found.digest == zoo.load(finished_run).info.recipe_digest != ""
    assert found.proof == ""


def test_the_proof_is_quoted(tmp_path):
    run = zoo.finetune(
        "tutorials/lenet", data="demo", classes=3, size=32, epochs=1, weights="none",
        freeze_upto="conv1", allow_random_frozen=True, device="cpu", precision="fp32", threads=1,
        out=tmp_path,
    )  # fmt: skip
    found = read_training(zoo.load(run.dir))
    assert found.proof == run.proof
    assert "unchanged" in found.proof


def test_only_of_a_run_whose_best_it_is(finished_run, tmp_path):
    shutil.copy(finished_run / "model.safetensors", tmp_path / "model.safetensors")
    assert read_training(zoo.load(tmp_path / "model.safetensors")) is None
    state = next((finished_run / "checkpoints").iterdir())
    assert read_training(loaded_from(state)) is None


@pytest.mark.parametrize(
    "line",
    [
        "", "{", "[]", '"x"', "[" * 3000, '{"kind":"epoch"}', '{"kind":"epoch","epoch":"1"}',
        '{"kind":"epoch","epoch":true}', '{"kind":"step","epoch":7}', "\udcff",
    ],
)  # fmt: skip
def test_torn_and_foreign_lines_are_passed_over(tmp_path, line):
    (tmp_path / "recipe.toml").touch()
    good = '{"kind":"epoch","epoch":0,"train":{"loss":"nan","top1":true},"val":null,"best":true}'
    text = f"{line}\n{good}\n{good[:30]}"
    (tmp_path / "metrics.jsonl").write_bytes(text.encode("utf-8", "surrogateescape"))
    found = read_training(loaded_from(tmp_path / "model.safetensors"))
    assert found.epochs == (Epoch(1, None, None, None, None),)
    assert found.best == 1


def test_a_run_without_metrics(tmp_path):
    (tmp_path / "recipe.toml").touch()
    found = read_training(loaded_from(tmp_path / "model.safetensors"))
    assert (found.epochs, found.best, found.proof) == ((), None, "")
