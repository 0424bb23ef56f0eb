"""zoo.engine.plan: what a run will do, said before it does it."""

import subprocess
import sys

import pytest

from zoo.core import registry
from zoo.core.request import request
from zoo.engine.plan import (
    early_plan,
    expected_input,
    names_a_source,
    open_recipe_data,
    stem,
    steps_per_epoch,
)
from zoo.errors import DataError, UsageError


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
    once = early_plan(recipe(classes=300, epochs=1, warmup=1), registry.load())
    assert "1 epoch x 38 steps of 32 images; " in dict(once.lines)["training"]
    assert "warm-up 1 epoch;" in dict(once.lines)["training"]


@pytest.mark.parametrize("start", ["default", "timm-tv_in1k", "none", "run"])
def test_it_is_said_without_torch(finished_run, tmp_path, start):
    model = "tutorials/lenet" if start == "run" else "resnet18"
    weights = f"run:{finished_run}" if start == "run" else start
    line = ["finetune", model, "--weights", weights, "--classes", "3", "--dry-run"]
    code = (
        "import sys; from zoo.cli.main import run; "
        f"assert run({line!r}) == 0; "
        "assert not {'torch', 'torchvision', 'numpy'} & set(sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_a_projections_last_number_is_that_of_the_classes_and_called_so(photos):
    with pytest.raises(DataError, match="--project 400,300, but ") as caught:
        early_plan(recipe(data=str(photos), project=[400, 300]), registry.load())
    assert caught.value.hint == "--project 400,2, or leave it out"
    assert early_plan(recipe(data=str(photos), project=[400, 2]), registry.load())
    with pytest.raises(DataError, match="--project 300, but digits has 10"):
        early_plan(recipe(data="digits", project=[300]), registry.load())


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
    wanted = recipe(classes=2)
    assert stem(wanted, open_recipe_data(wanted, registry.load(), 3)) == "resnet18-demo"


@pytest.mark.parametrize(
    ("values", "size"),
    [
        ({}, (3, 224, 224)),
        ({"weights": "imagenet1k_swag_e2e_v1"}, (3, 384, 384)),
        ({"weights": "none", "size": 64}, (3, 64, 64)),
        ({"weights": "none", "model_option": {"image_size": 128}}, (3, 128, 128)),
        ({"weights": "hub:org/somebodys-vit", "size": 384}, (3, 384, 384)),
        ({"in_channels": 1}, (1, 224, 224)),
    ],
)
def test_the_input_is_what_the_weights_expect(values, size):
    found = expected_input(recipe("vit_b_16", **values), registry.load().model("vit_b_16"))
    assert found.size == size


def test_weights_for_another_size_are_refused_without_torch():
    with pytest.raises(UsageError, match="take images of 224 x 224, not 64"):
        early_plan(recipe("vit_b_16", size=64, classes=3), registry.load())


def test_weights_on_the_disk_are_not_fetched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "o.toml").write_text(
        'schema = 1\n[[model]]\nname = "resnet18"\n[[model.weights]]\nname = "mine"\n'
        'source = "file:/models/resnet18.safetensors"\n'
    )
    monkeypatch.setenv("ZOO_REGISTRY", "o.toml")
    registry.load.cache_clear()
    try:
        said = dict(early_plan(recipe(classes=2), registry.load()).lines)
    finally:
        registry.load.cache_clear()
    assert said["weights"] == "mine, from file:/models/resnet18.safetensors"


def test_a_run_from_a_run_is_named_after_it(finished_run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    file = finished_run / "model.safetensors"
    wanted = recipe(f"file:{file}", data="demo", classes=2)
    splits = open_recipe_data(wanted, registry.load(), 1)
    assert stem(wanted, splits) == f"{finished_run.name}-demo"
    (tmp_path / "best.safetensors").write_bytes(file.read_bytes())
    wanted = recipe("file:best.safetensors", data="demo", classes=2)
    assert stem(wanted, splits) == "best-demo"


def test_a_copy_of_torchs_is_named_before_a_download(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))

    def said():
        return dict(early_plan(recipe(classes=3), registry.load()).lines)["weights"]

    assert "to fetch from url:" in said()
    copy = tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth"
    copy.parent.mkdir(parents=True)
    copy.write_bytes(b"")
    assert "the copy of torch.hub" in said()


def test_a_model_that_gives_features_says_so(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    wanted = recipe("timm/eva02_tiny_patch14_224", classes=5, weights="none", size=224)
    assert dict(early_plan(wanted, registry.load()).lines)["model"] == (
        "timm/eva02_tiny_patch14_224, 5,502,144 parameters that give features; "
        "head head for 5 classes"
    )


def test_a_dry_run_downloads_nothing(tmp_path):
    wanted = recipe(data="fashion-mnist", data_root=str(tmp_path), download=True)
    with pytest.raises(DataError, match="not found") as caught:
        early_plan(wanted, registry.load())
    assert caught.value.hint == "a dry run downloads nothing: leave --dry-run out"
    assert list(tmp_path.iterdir()) == []


def test_the_fold_is_said(photos):
    said = dict(early_plan(recipe(data=str(photos), fold="2/3"), registry.load()).lines)
    assert said["data"].endswith(" validation images (fold 2/3)")
