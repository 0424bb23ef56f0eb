"""A repository on the Hub as a start, and as a model to use."""

import pytest
import torch
from loopback_fixtures import here  # noqa: F401
from loopback_weights import TIMM, as_bytes, built, ours, repository

from zoo.core import registry
from zoo.core.recipe import ModelPart, Recipe
from zoo.engine.start.hubmodel import from_hub
from zoo.errors import CheckpointError


@pytest.fixture
def online(here):  # noqa: F811
    return here


@pytest.fixture
def timm(online):
    model = built("resnet18", 3)
    repository(online, "ann/net", {"model.safetensors": as_bytes(model), "config.json": TIMM})
    return model


def start(reference, spec=None):
    recipe = Recipe(model=ModelPart(name="resnet18"))
    return from_hub(reference, registry.load(), spec, recipe)


def test_a_start_has_the_repositorys_labels_and_preprocessing(timm):
    made = start("hub:ann/net")
    assert (made.spec.name, made.num_classes) == ("resnet18", 3)
    assert made.classes == ("cat", "dog", "emu")
    assert (made.input.interpolation, made.input.resize) == ("bicubic", 235)
    assert made.record["source"] == "hub:ann/net"
    assert len(made.record["revision"]) == 40
    assert torch.equal(made.tensors["fc.bias"], timm.state_dict()["fc.bias"])


def test_another_model_than_was_asked_for(timm):
    with pytest.raises(CheckpointError, match="does not fit squeezenet1_1"):
        start("hub:ann/net", registry.load().model("squeezenet1_1"))


def test_ours(online):
    repository(online, "ann/own", {"model.safetensors": ours()})
    made = start("hub:ann/own")
    assert (made.spec.name, made.num_classes, made.input.mean) == ("squeezenet1_1", 7, (0.5,) * 3)
