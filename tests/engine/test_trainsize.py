"""zoo.engine.trainsize: what a model is shown in training."""

import pytest

from zoo.core import registry
from zoo.core.recipe import FreezePart
from zoo.core.request import request
from zoo.core.specs import InputSpec
from zoo.engine.freezing.freeze import plan_freeze
from zoo.engine.parts import build
from zoo.engine.start.weights import find_start
from zoo.engine.trainsize import size_line, training_input, trains_partly
from zoo.errors import UsageError


def seen(model, *, partly=True, **values):
    known = registry.load()
    given = {"weights": "none", "classes": 2, **values}
    recipe = request("finetune", model, given, registry=known).recipe
    built = build(find_start(recipe, known), recipe, known, ())
    return training_input(recipe, known, built, partly=partly).size, built


@pytest.mark.parametrize("values", [{"train_size": "same"}, {"partly": False}])
def test_training_shows_what_evaluation_does_on_wish_and_where_all_trains(values):
    assert seen("resnet18", **values)[0] == (3, 224, 224)


def test_behind_a_frozen_part_random_crops_are_a_little_smaller_than_they_are_judged():
    size, built = seen("resnet18")
    assert built.input.size == (3, 224, 224)
    assert size == (3, 192, 192)
    assert seen("resnet18", size=256, in_channels=1)[0] == (1, 224, 224)


@pytest.mark.parametrize("transform", ["light", "center-crop", "shift", "random-crop"])
def test_what_shows_things_as_they_are_judged_stays(transform):
    assert seen("resnet18", transform=transform)[0] == (3, 224, 224)


@pytest.mark.parametrize(
    ("model", "values"), [("vit_b_16", {}), ("swin_t", {}), ("resnet18", {"size": 64})]
)
def test_models_for_one_size_transformers_and_small_images_stay(model, values):
    size, built = seen(model, **values)
    assert size == built.input.size


def test_a_size_that_is_asked_for_counts():
    assert seen("resnet18", train_size=192)[0] == (3, 192, 192)
    assert seen("resnet18", train_size=224)[0] == (3, 224, 224)
    assert seen("resnet18", transform="center-crop", train_size=128)[0] == (3, 128, 128)


def test_a_size_that_the_model_does_not_take_is_refused():
    with pytest.raises(UsageError, match="vit_b_16 does not take images of 3 x 160 x 160"):
        seen("vit_b_16", train_size=160)
    with pytest.raises(UsageError, match="vgg11 does not take images of 3 x 16 x 16"):
        seen("vgg11", train_size=16)


def test_the_plan_says_both_sizes():
    small, large = InputSpec(size=(3, 192, 192)), InputSpec(size=(3, 224, 224))
    assert size_line(large, large, auto=False) == size_line(large, large, auto=True) == ""
    assert size_line(small, large, auto=False) == "192 x 192 in training, 224 x 224 in evaluation"
    assert size_line(small, large, auto=True).endswith("evaluation; --train-size same for one size")


@pytest.mark.parametrize(
    ("freeze", "partly"),
    [
        ({"upto": "layer3"}, True),
        ({"upto": "stem"}, True),
        ({"freeze": ("backbone",)}, False),  # a head alone
        ({"upto": "layer3", "unfreeze_at": ("1:stem", "1:layer1", "1:layer2", "1:layer3")}, False),
        ({}, False),
    ],
)
def test_it_is_for_layers_that_train_behind_frozen_ones(freeze, partly):
    known = registry.load()
    model, spec = known.build("model", "resnet18", num_classes=2), known.model("resnet18")
    plan = plan_freeze(model, spec, FreezePart(**freeze), InputSpec(size=(3, 64, 64)))
    assert trains_partly(model, plan) is partly
