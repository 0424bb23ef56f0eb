import pytest
import torch
from tinyrun import tiny_model
from torch import nn

from zoo.core.recipe import DevicePart, Recipe
from zoo.engine.processes.distributed import ALONE, World
from zoo.engine.processes.sharded import (
    gathered,
    is_sharded,
    local,
    require_shardable,
    spread,
    units,
    whole,
)
from zoo.errors import UsageError

TOLERANCE = 1e-6
"""Largest difference of a tensor between DDP and FSDP2, which add up in another order."""
KINDS = [
    f"{optimizer}-{kind}"
    for optimizer in ("sgd", "adamw")
    for kind in ("sliced", "whole-sliced", "sliced-whole")
]


@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_sharded_and_whole_runs_end_alike_also_from_each_others_files(ranks, name):
    for rank in ranks:
        found, plain = rank["slices"][name], rank["slices"][f"{name.split('-')[0]}-whole"]
        assert found["far"] <= TOLERANCE  # weights, averaged copy, optimizer state, counters
        assert found["written"] == 0  # the file holds whole tensors
        assert found["norms"] == pytest.approx(plain["norms"][-len(found["norms"]) :], abs=1e-5)
        assert [row["n"] for row in found["val"]] == [9, 9]  # 5 images here, 4 there
        assert [row["top1"] for row in found["val"]] == [row["top1"] for row in plain["val"]]
        ends_sliced = name.endswith("sliced")
        assert found["kind"] == ("DTensor" if ends_sliced else "Parameter")


@pytest.mark.slow
def test_each_rank_holds_a_slice(ranks):
    mine = [rank["slices"]["sgd-sliced"]["mine"] for rank in ranks]
    assert mine == [48, 24]  # two rows and one of the head's three
    assert [rank["slices"]["sgd-whole"]["mine"] for rank in ranks] == [72, 72]


@pytest.mark.slow
def test_frozen_slices_stay_frozen_and_are_proved_whole(ranks):
    for found in (rank["slices"] for rank in ranks):
        assert found["adamw-sliced"]["frozen"] == found["start"]
        assert found["sgd-sliced"]["frozen"] != found["start"]


def test_what_is_not_sharded_is_left_alone():
    tensor = torch.arange(3.0)
    assert whole(tensor) is tensor
    assert local(tensor) is tensor
    assert spread(tensor, torch.zeros(3)) is tensor
    assert spread(tensor, None) is tensor
    model = tiny_model()
    assert not is_sharded(model)
    with gathered(model):
        pass


class Reaching(nn.Module):
    """Calls one part, reaches into another, calls a third twice, shares a weight of two."""

    def __init__(self) -> None:
        super().__init__()
        self.called = nn.Linear(4, 4)
        self.reached = nn.Sequential(nn.Linear(4, 4))
        self.twice = nn.Linear(4, 4)
        self.tied, self.other = nn.Linear(4, 4), nn.Linear(4, 4)
        self.other.weight = self.tied.weight
        self.empty = nn.ReLU()

    def forward(self, x):
        x = self.reached[0](self.called(x))
        return self.empty(self.other(self.tied(self.twice(self.twice(x)))))


def test_parts_are_the_stages_that_the_forward_calls_once():
    model = Reaching()
    names = ("called", "reached", "twice", "tied", "other", "empty")
    stages = [(name, (name,)) for name in names] + [("pair", ("called", "twice"))]
    assert units(model, stages, lambda: model(torch.zeros(1, 4))) == ("called",)
    assert not any(module._forward_pre_hooks for module in model.modules())


@pytest.mark.parametrize(
    ("device", "flag"),
    [
        ({"compile": True}, "--compile"),
        ({"precision": "fp16"}, "--precision fp16"),
        ({"channels_last": True}, "--channels-last"),
    ],
)
def test_what_does_not_go_together_is_refused(device, flag):
    recipe = Recipe(device=DevicePart(parallel="fsdp", **device))
    precision = recipe.device.precision
    with pytest.raises(UsageError, match=f"{flag} does not go together") as caught:
        require_shardable(recipe, World(0, 2, 0, 2), precision=precision)
    assert "--parallel ddp" in caught.value.hint
    require_shardable(recipe, ALONE, precision=precision)  # one process has nothing to share


def test_the_rest_goes_together():
    recipe = Recipe(device=DevicePart(parallel="fsdp"))
    require_shardable(recipe, World(0, 2, 0, 2), precision="bf16")
