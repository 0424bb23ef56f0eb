"""zoo.engine.plan: what a run will do, said before it does it."""

import subprocess
import sys

import pytest

from zoo.core import registry
from zoo.core.request import request
from zoo.engine.plan import early_plan, names_a_source, stem, steps_per_epoch
from zoo.errors import DataError


def recipe(model="resnet18", **values):
    return request("finetune", model, values, registry=registry.load()).recipe


def test_the_main_job_in_an_empty_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = early_plan(recipe(freeze_upto="layer3", classes=300), registry.load())
    said = dict(plan.lines)
    assert said["model"] == (
        "resnet18, 11,689,512 parameters with 1000 classes; head fc for 300 classes"
    )
    assert said["data"] == "demo: 300 classes, 1,200 training and 300 validation images"
    assert "up to and including layer3" in said["freeze"]
    assert said["input"].startswith("3 x 224 x 224; transform standard, eval center-crop")
    assert "5 epochs x 38 steps of 32 images" in said["training"]
    assert plan.facts["steps"] == 5 * 38
    assert any("--data FOLDER" in note for note in plan.notes)


def test_it_is_said_without_torch(tmp_path):
    code = (
        "import sys; from zoo.cli.main import run; "
        "assert run(['finetune', 'resnet18', '--classes', '3', '--dry-run']) == 0; "
        "assert not {'torch', 'torchvision', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_classes_are_compared_before_anything_else(photos):
    with pytest.raises(DataError, match="--classes 300") as caught:
        early_plan(recipe(data=str(photos), classes=300), registry.load())
    assert caught.value.exit_code == 3


def test_weights_of_a_run_tell_the_size(finished_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = recipe("tutorials/lenet", weights=f"run:{finished_run}", classes=3)
    assert dict(early_plan(wanted, registry.load()).lines)["input"].startswith("1 x 32 x 32")


@pytest.mark.parametrize(
    ("values", "text"),
    [
        ({"project": [400, 300], "classes": 300}, "head fc becomes 400 -> 300"),
        ({"in_channels": 1, "classes": 3}, "1 input channels"),
    ],
)
def test_surgery_is_said(tmp_path, monkeypatch, values, text):
    monkeypatch.chdir(tmp_path)
    assert text in dict(early_plan(recipe(**values), registry.load()).lines)["model"]


def test_steps_count_a_partial_window():
    assert steps_per_epoch(recipe(batch_size=32), 100) == 4
    assert steps_per_epoch(recipe(batch_size=32, accumulate=3), 100) == 2


def test_a_source_is_told_from_a_tag():
    assert names_a_source("file:x")
    assert not names_a_source("imagenet1k_v1")


def test_a_run_is_named_after_model_and_data(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    from zoo.engine.plan import open_recipe_data

    wanted = recipe(classes=2)
    assert stem(wanted, open_recipe_data(wanted, registry.load(), 3)) == "resnet18-demo"
