"""zoo.engine.assemble: everything that the loop needs, in the one right order."""

import pytest
import torch

from zoo.core import registry
from zoo.core.recipe import DataPart
from zoo.core.request import request
from zoo.engine.assemble import (
    assemble,
    build_loss,
    cache_wish,
    early_place,
    freeze_model,
    make_rules,
)  # fmt: skip
from zoo.engine.parts import build
from zoo.engine.plan import open_recipe_data
from zoo.engine.processes.distributed import ALONE
from zoo.engine.start.weights import find_start
from zoo.errors import UsageError

QUICK = {
    "weights": "none", "allow_random_frozen": True, "classes": 3, "size": 32, "data": "demo",
    "workers": 0, "threads": 1, "precision": "fp32", "device": "cpu", "batch_size": 4,
}  # fmt: skip


def assembled(model="resnet18", **values):
    known = registry.load()
    recipe = request("finetune", model, {**QUICK, **values}, registry=known).recipe
    splits = open_recipe_data(recipe, known, 3)
    built = build(find_start(recipe, known), recipe, known, splits.classes)
    frozen = freeze_model(built, recipe, pretrained=False)
    place = early_place(recipe, ALONE)
    return assemble(recipe, known, built, frozen, splits, place=place, world=ALONE)


def test_the_optimizer_has_what_trains_and_nothing_else():
    made = assembled(freeze_upto="layer3")
    held = {id(p) for group in made.live.optimizer.param_groups for p in group["params"]}
    assert held == {id(p) for p in made.live.model.parameters() if p.requires_grad}
    assert sum(p.numel() for g in made.live.optimizer.param_groups for p in g["params"]) == (
        8_393_728 + 3 * 513
    )


def test_one_image_alone_is_refused_where_batch_norms_cannot_take_it():
    known = registry.load()
    values = {name: value for name, value in QUICK.items() if name != "allow_random_frozen"}
    recipe = request("train", "resnet18", values, registry=known).recipe
    built = build(find_start(recipe, known), recipe, known, ("a", "b", "c"))
    with pytest.raises(UsageError, match="more than 1 value per channel"):
        freeze_model(built, recipe, pretrained=False, images=1)
    freeze_model(built, recipe, pretrained=False, images=2)


def test_what_thaws_later_has_its_group_from_the_start():
    made = assembled(freeze_upto="layer3", unfreeze_at=["1:layer3"])
    held = {id(p) for group in made.live.optimizer.param_groups for p in group["params"]}
    assert {id(p) for p in made.live.model.layer3.parameters()} <= held
    assert not {id(p) for p in made.live.model.layer2.parameters()} & held


def test_the_frozen_part_is_cut_off_and_the_rest_computes_the_same():
    made = assembled(freeze_upto="layer3", transform="center-crop", cache="ram")
    whole = assembled(freeze_upto="layer3", transform="center-crop", cache="off")
    assert made.prefix.startswith("cut after layer3")
    assert whole.prefix == ""
    tail, model = made.cut(made.live.model).eval(), whole.live.model.eval()
    pairs = zip(made.train.epoch(0), whole.train.epoch(0), strict=True)
    with torch.no_grad():
        for short, long in pairs:
            assert torch.equal(short.indices, long.indices)
            images, _ = made.feed(short, train=True)
            pixels, _ = whole.feed(long, train=True)
            assert torch.equal(tail(images), model(pixels))
    made.train.close()
    made.val.close()


def test_a_loss_takes_the_recipes_options():
    known = registry.load()
    recipe = request("train", "resnet18", {"label_smoothing": 0.1}, registry=known).recipe
    place = early_place(recipe, ALONE)
    assert build_loss(recipe, known, place).label_smoothing == 0.1
    wrong = request("train", "resnet18", {"loss": "mse", "label_smoothing": 0.1}, registry=known)
    with pytest.raises(UsageError, match="label_smoothing"):
        build_loss(wrong.recipe, known, place)


def test_rules_follow_the_monitor():
    known = registry.load()
    watched = {"loss": "min", "top5": "max", "f1": "max", "calibration-error": "min"}
    for monitor, goal in watched.items():
        recipe = request("train", "resnet18", {"monitor": monitor}, registry=known).recipe
        assert make_rules(recipe, known).goal == goal


@pytest.mark.parametrize(("views", "number"), [("fresh", 0), (4, 4), ("4", 4), (0, 0)])
def test_views_are_a_number_or_fresh(views, number):
    assert cache_wish(DataPart(views=views)).views == number


@pytest.mark.parametrize("part", [{"views": "many"}, {"views": -1}, {"cache_size": "big"}])
def test_a_malformed_wish_is_refused(part):
    with pytest.raises(UsageError):
        cache_wish(DataPart(**part))


def test_a_size_is_read_as_people_write_it():
    assert cache_wish(DataPart(cache_size="2GB")).size == 2_000_000_000
