"""zoo.engine.run: a recipe from the beginning to the proof, as a stream of events."""

import json

import pytest

from zoo.core import registry
from zoo.core.metadata import read_header
from zoo.core.request import request
from zoo.engine.plan import Plan
from zoo.engine.reports import EpochReport, Note, SavedReport, StepReport
from zoo.engine.result import RunResult
from zoo.engine.run import conduct
from zoo.errors import DataError, DeviceError, FreezeError, UsageError

QUICK = {
    "classes": 4, "data": "demo", "workers": 0, "threads": 1, "precision": "fp32",
    "device": "cpu", "batch_size": 4, "epochs": 2, "weights": "none",
}  # fmt: skip


def events(verb, model, *, dry=False, **values):
    known = registry.load()
    recipe = request(verb, model, {**QUICK, **values}, registry=known).recipe
    return list(conduct(recipe, known, dry=dry))


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_plan_plan_reports_result_in_that_order(tmp_path):
    found = events("train", "tutorials/lenet", name="one")
    kinds = [type(event) for event in found]
    assert kinds[:2] == [Plan, Plan]
    assert kinds[-1] is RunResult
    assert kinds.count(EpochReport) == 2
    assert kinds.count(StepReport) == 2 * 4
    assert kinds.count(SavedReport) >= 2
    result = found[-1]
    assert result.dir == tmp_path.joinpath("runs", "one").relative_to(tmp_path)
    assert result.epochs == 2
    assert result.weights.is_file()
    names = {path.name for path in result.dir.iterdir()}
    assert {
        "recipe.toml",
        "checkpoints",
        "model.safetensors",
        "metrics.jsonl",
        "result.json",
    } <= names


def test_the_checkpoint_knows_where_it_comes_from():
    result = events("finetune", "tutorials/lenet", freeze_upto="conv1", allow_random_frozen=True)[
        -1
    ]
    info = read_header(result.weights).info
    assert info.model == "tutorials/lenet"
    assert info.num_classes == len(info.classes) == 4
    assert info.recipe["data"]["source"] == "demo"
    assert info.data["fingerprint"]
    assert info.versions["torch"]
    assert info.freeze["proof"]["unchanged"] is True
    assert info.freeze["frozen"] == ["conv1.weight", "conv1.bias"]
    assert "unchanged" in result.proof
    assert info.metrics["n"] == result.metrics["n"] == 4


def test_the_metrics_file_has_every_step_once():
    result = events("train", "tutorials/lenet")[-1]
    rows = [json.loads(line) for line in (result.dir / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "step"] == list(range(1, 9))
    assert [row["epoch"] for row in rows if row["kind"] == "epoch"] == [0, 1]


def test_dry_stops_before_anything_is_written(tmp_path):
    found = events("train", "tutorials/lenet", dry=True)
    assert [type(event) for event in found] == [Plan, Plan]
    assert found[-1].facts["trainable"] > 0
    assert not (tmp_path / "runs").exists()


def test_the_same_seed_gives_the_same_weights():
    one = events("train", "tutorials/lenet", epochs=1)[-1]
    other = events("train", "tutorials/lenet", epochs=1)[-1]
    assert one.dir != other.dir
    from safetensors.torch import load_file

    pairs = zip(load_file(one.weights).values(), load_file(other.weights).values(), strict=True)
    assert all(bool((a == b).all()) for a, b in pairs)


@pytest.mark.parametrize(
    ("values", "error"),
    [
        ({"device": "cuda:7"}, DeviceError),
        ({"data": "photos", "name": "x"}, DataError),
        ({"freeze_upto": "conv1"}, FreezeError),
        ({"freeze_upto": "conv9", "allow_random_frozen": True}, FreezeError),
        ({"project": [9, 3]}, UsageError),
        ({"monitor": "top9"}, UsageError),
    ],
)
def test_what_is_wrong_is_found_before_a_folder_is_made(tmp_path, values, error):
    with pytest.raises(error):
        events("finetune", "tutorials/lenet", **values)
    assert not (tmp_path / "runs").exists()


def test_a_name_that_is_taken_is_refused_at_once():
    events("train", "tutorials/lenet", epochs=1, name="mine")
    with pytest.raises(UsageError, match="run mine exists") as caught:
        next(iter(events("train", "tutorials/lenet", name="mine")))
    assert "zoo resume" in caught.value.hint


def test_early_stopping_is_said():
    result = events("train", "tutorials/lenet", epochs=9, patience=1, lr=1e-9)[-1]
    assert result.stopped_early
    assert result.epochs < 9


def test_a_last_epoch_that_the_time_cut_short_is_said_as_an_early_end():
    found = events("train", "tutorials/lenet", epochs=1, batch_size=2, max_time="0.005s")
    assert found[-1].stopped_early
    assert any("cut short" in e.text for e in found if isinstance(e, Note))


def test_a_run_may_watch_a_metric_of_the_registry():
    found = events("train", "tutorials/lenet", monitor="calibration-error", metric="f1", epochs=3)
    values = [e.val.metrics["calibration-error"] for e in found if isinstance(e, EpochReport)]
    result = found[-1]
    assert result.monitor == "calibration-error"
    assert result.best_epoch == 1 + values.index(min(values))
    assert result.metrics["calibration-error"] == min(values)
    assert "f1" in result.metrics
    info = read_header(result.weights).info
    assert info.metrics == result.metrics


def test_a_model_that_is_built_for_a_size_is_built_for_the_images():
    values = {"size": 32, "batch_size": 8, "epochs": 1}
    found = events("train", "vit_b_16", model_option={"image_size": 32}, dry=True, **values)
    again = events("train", "vit_b_16", dry=True, **values)
    assert found[-1].facts["trainable"] == again[-1].facts["trainable"]
    assert dict(again[0].lines)["input"].startswith("3 x 32 x 32")


def test_a_cache_that_cannot_be_written_is_said_and_the_run_goes_on(tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file" / "cache"))
    frozen = {"freeze_upto": "conv1", "allow_random_frozen": True, "cache": "disk", "views": 1}
    found = events("finetune", "tutorials/lenet", **frozen)
    said = [event.text for event in found if isinstance(event, Note)]
    assert [text for text in said if "computed anew" in text and "cannot" in text], said
    assert isinstance(found[-1], RunResult)
