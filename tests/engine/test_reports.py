import json

from zoo.engine.evaluate import Evaluation
from zoo.engine.reports import EpochReport, Note, SavedReport, StepReport

STEP = StepReport(
    epoch=0, step=3, steps=9, batch=3, batches=6, n=4, loss=0.5, top1=0.25, top5=1.0, lr=0.1
)
EPOCH = EpochReport(
    epoch=1, epochs=3, step=6, n=20, loss=0.4, top1=0.5, top5=1.0, lr=0.05,
    val=Evaluation(n=5, loss=float("nan"), top1=0.6, top5=1.0, metrics={"f1": 0.5}),
    value=0.6, best=True, waited=0, seconds=1.23456,
)  # fmt: skip


def test_a_step_is_one_line_of_json():
    row = json.loads(json.dumps(STEP.row(), allow_nan=False))
    assert row["kind"] == "step"
    assert (row["epoch"], row["step"], row["loss"], row["top1"]) == (0, 3, 0.5, 0.25)
    assert "grad_norm" not in row
    assert "skipped" not in row


def test_an_epoch_is_one_line_of_json_also_with_nan():
    row = json.loads(json.dumps(EPOCH.row(), allow_nan=False))
    assert row["train"] == {"n": 20, "loss": 0.4, "top1": 0.5, "top5": 1.0}
    assert row["val"] == {"n": 5.0, "loss": "nan", "top1": 0.6, "top5": 1.0, "f1": 0.5}
    assert row["seconds"] == 1.235


def test_an_epoch_gives_trackers_its_numbers_by_name():
    found = EPOCH.scalars()
    assert (found["train/loss"], found["train/top1"], found["lr"]) == (0.4, 0.5, 0.05)
    assert (found["val/top1"], found["val/f1"], found["val/n"]) == (0.6, 0.5, 5)


def test_what_is_not_a_line_has_no_row(tmp_path):
    assert not hasattr(Note(text="x"), "row")
    saved = SavedReport(path=tmp_path, step=1, epoch=0, reason="stop", seconds=0.1)
    assert not hasattr(saved, "row")
