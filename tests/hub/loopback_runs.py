"""A trained model of the user's, as it is pushed, and the plan of pushing it."""

from dataclasses import replace

import pytest
from loopback_weights import built

from zoo.core import registry
from zoo.core.metadata import CheckpointInfo
from zoo.core.recipe import ModelPart, Recipe
from zoo.core.specs import InputSpec
from zoo.engine.saving.checkpoint import save_weights
from zoo.hub.pushplan import plan_push


def info(**how):
    from zoo.core.compose import to_dict

    recipe = to_dict(Recipe(model=ModelPart(name="resnet18")))
    base = CheckpointInfo(
        model="resnet18", num_classes=3, classes=("a", "b", "c"), recipe=recipe,
        input=InputSpec(size=(3, 64, 64), mean=(0.5,) * 3, std=(0.2,) * 3, resize=73, crop=64),
        metrics={"top1": 0.5, "n": 4.0}, data={"name": "pets", "train": 9, "val": 4},
    )  # fmt: skip
    return replace(base, **how)


@pytest.fixture
def run(tmp_path):
    path = tmp_path / "runs" / "one" / "model.safetensors"
    path.parent.mkdir(parents=True)
    save_weights(path, built("resnet18", 3).state_dict(), info())
    return path


def plan(run, target="ann/pets", **how):
    return plan_push(run, target, registry.load(), **{"licence": "mit", **how})
