from __future__ import annotations

from torch import nn

from zoo.core.recipe import FreezePart
from zoo.core.specs import InputSpec
from zoo.engine.freezing.cone import Tracer
from zoo.engine.freezing.freeze import hold, plan_freeze
from zoo.engine.freezing.held import held_modules, norm_layers

SMALL = InputSpec(size=(3, 8, 8))


def stack():
    return nn.Sequential(
        nn.BatchNorm2d(3, affine=False),  # 0: no parameters, but statistics
        nn.Conv2d(3, 4, 1),  # 1
        nn.Dropout(),  # 2
        nn.Conv2d(4, 4, 1),  # 3
        nn.BatchNorm2d(4, affine=False),  # 4
        nn.Dropout(),  # 5: between the frozen part and the head
        nn.Flatten(),
        nn.Linear(256, 2),
    )


def test_norms_without_scale_and_dropout_inside_the_frozen_part_are_held():
    model = stack()
    plan = plan_freeze(model, None, FreezePart(upto="4"), SMALL)
    model.train()
    hold(model, plan)
    assert [m.training for m in model] == [False] * 5 + [True] * 3
    assert plan.norms == ("0", "4")


def test_what_comes_before_a_trainable_layer_is_not_held():
    model = stack()
    plan = plan_freeze(model, None, FreezePart(freeze=("3",)), SMALL)
    assert plan.eval_modules == ("3",)


def test_a_partly_released_part_holds_only_what_stays_upstream_frozen():
    model = stack()
    plan = plan_freeze(model, None, FreezePart(upto="4", unfreeze=("1.*",)), SMALL)
    assert plan.eval_modules == ("0", "3")


def test_only_the_outermost_modules_are_listed():
    model = nn.Sequential(nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)), nn.Conv2d(4, 2, 1))
    tracer = Tracer(model, SMALL)
    frozen = frozenset({"0.0.weight", "0.0.bias", "0.1.weight", "0.1.bias"})
    assert held_modules(tracer, frozen, ()) == ("0",)


def test_norms_are_told_by_their_statistics():
    model = nn.Sequential(
        nn.BatchNorm2d(3),
        nn.BatchNorm2d(3, track_running_stats=False),
        nn.InstanceNorm2d(3, track_running_stats=True),
        nn.InstanceNorm2d(3),
        nn.SyncBatchNorm(3),
        nn.GroupNorm(1, 3),
    )
    assert [name for name, _ in norm_layers(model)] == ["0", "2", "4"]
