from __future__ import annotations

import json

import pytest
import torchvision

from zoo.core import registry
from zoo.core.recipe import FreezePart
from zoo.engine.freezing.freeze import plan_freeze
from zoo.engine.freezing.plan import FreezePlan
from zoo.errors import CheckpointError

RESNET = registry.load().model("resnet18")


@pytest.fixture(scope="module")
def plan():
    model = torchvision.models.resnet18(num_classes=300)
    part = FreezePart(upto="layer3", unfreeze_at=("1:layer3.1", "3:layer2"))
    return plan_freeze(model, RESNET, part)


def test_a_plan_changes_by_epoch(plan):
    assert [plan.at_epoch(e).trainable_size for e in range(5)] == [
        8_547_628, 9_728_300, 9_728_300, 10_253_868, 10_253_868,
    ]  # fmt: skip
    assert plan.at_epoch(0).line().startswith("frozen stem layer1 layer2 layer3 |")
    assert plan.at_epoch(3).frozen_parts == ("stem", "layer1", "layer3.0")


def test_optimizer_groups_are_known_up_front(plan):
    assert set(plan.ever_trainable) == set(plan.at_epoch(9).trainable)
    assert set(plan.ever_frozen) == set(plan.at_epoch(9).frozen)
    assert set(plan.at_epoch(0).trainable) < set(plan.ever_trainable)


def test_a_plan_survives_json(plan):
    assert FreezePlan.from_dict(json.loads(json.dumps(plan.to_dict()))) == plan
    assert FreezePlan.from_dict(FreezePlan().to_dict()) == FreezePlan()
    with pytest.raises(CheckpointError, match="not a freeze plan"):
        FreezePlan.from_dict({"layers": 3})


def test_many_pieces_of_a_stage_are_summed_up():
    model = torchvision.models.resnet18()
    plan = plan_freeze(model, RESNET, FreezePart(freeze=("layer*.bn?", "layer*.bn?.*")))
    assert "layer2 (part)" in plan.line()


@pytest.mark.parametrize(
    ("frozen_bn", "said"),
    [
        ("update", "10 BN (statistics move)"),
        ("affine", "10 BN (eval, scale and shift train)"),
    ],
)
def test_other_norm_modes_are_said(frozen_bn, said):
    model = torchvision.models.resnet18()
    plan = plan_freeze(model, RESNET, FreezePart(upto="layer2", frozen_bn=frozen_bn))
    assert said in plan.line()
    assert plan.frozen_parts == ("stem", "layer1", "layer2")
