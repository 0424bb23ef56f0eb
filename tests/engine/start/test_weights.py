"""zoo.engine.start.weights: where a model starts."""

import pytest
import torch
from starts import random_weights

from zoo.core import registry
from zoo.core.request import request
from zoo.core.specs import ModelSpec
from zoo.engine.start.weights import choose_weights, find_start, head_size
from zoo.errors import CheckpointError, UsageError


def recipe(model, **values):
    return request("finetune", model, values, registry=registry.load()).recipe


def test_none_is_random_and_says_so():
    start = find_start(recipe("resnet18", weights="none"), registry.load())
    assert start.tensors is None
    assert not start.pretrained
    assert start.input == registry.load().model("resnet18").input


def test_a_plain_file_needs_the_models_name(tmp_path):
    path = random_weights(tmp_path / "w.safetensors", "tutorials/lenet", num_classes=7)
    start = find_start(recipe("tutorials/lenet", weights=f"file:{path}"), registry.load())
    assert start.pretrained
    assert start.num_classes == 7
    assert start.classes == ()
    assert len(start.record["sha256"]) == 64
    assert any("no labels" in note for note in start.notes)
    with pytest.raises(CheckpointError, match="does not say which model"):
        find_start(recipe(f"file:{path}"), registry.load())


def test_a_file_of_ours_says_everything(finished_run):
    path = finished_run / "model.safetensors"
    start = find_start(recipe(f"file:{path}"), registry.load())
    assert start.spec.qualified == "tutorials/lenet"
    assert len(start.classes) == start.num_classes
    assert start.record["run"] == "light"


def test_weights_of_another_model_are_refused_by_both_names(finished_run):
    wanted = recipe("tutorials/mlp", weights=f"file:{finished_run}/model.safetensors")
    with pytest.raises(CheckpointError, match=r"are of tutorials/lenet, not of tutorials/mlp"):
        find_start(wanted, registry.load())


def test_a_run_is_found_by_name(finished_run):
    wanted = recipe("run:light", out=str(finished_run.parent))
    assert find_start(wanted, registry.load()).spec.name == "lenet"
    with pytest.raises(CheckpointError, match="no run 'lihgt'") as caught:
        find_start(recipe("run:lihgt", out=str(finished_run.parent)), registry.load())
    assert "light" in caught.value.hint


def test_a_model_without_weights_says_the_ways_on():
    with pytest.raises(UsageError, match="no pretrained weights") as caught:
        choose_weights(registry.load().model("tutorials/lenet"), "default")
    assert "zoo train" in caught.value.hint


def test_default_is_the_first():
    spec = registry.load().model("resnet50")
    assert choose_weights(spec, "default") == spec.weights[0]
    assert choose_weights(spec, "imagenet1k_v1").name == "imagenet1k_v1"


def test_the_head_is_read_off_the_weights():
    spec = ModelSpec(name="m", target="a:b", head="fc")
    assert head_size(spec, {"fc.weight": torch.zeros(5, 2)}) == 5
    assert head_size(spec, {}) is None
