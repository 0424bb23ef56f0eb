from __future__ import annotations

import torchvision
from torch import nn

from zoo.core import registry
from zoo.core.recipe import FreezePart
from zoo.core.specs import InputSpec
from zoo.engine.freezing.cone import Tracer
from zoo.engine.freezing.freeze import plan_freeze
from zoo.engine.prefix.point import candidates, early_modules, folds, upstream

SHOWN = InputSpec(size=(3, 32, 32))


def found(name, target, model):
    plan = plan_freeze(model, registry.load().model(name), FreezePart(upto=target), SHOWN)
    tracer = Tracer(model, SHOWN)
    return tracer.trace(), plan, list(candidates(tracer, plan, frozenset(plan.frozen)))


def test_the_latest_separating_tensor_comes_first():
    _, _, points = found("resnet18", "layer2", torchvision.models.resnet18())
    assert [str(p) for p in points[:4]] == [
        "after layer2", "after layer2.0", "after layer1", "after layer1.0",
    ]  # fmt: skip


def test_inside_a_residual_block_nothing_separates():
    _, _, points = found("resnet18", "layer2.1.conv1", torchvision.models.resnet18())
    assert str(points[0]) == "after layer2.0"


def test_in_front_of_every_parameter_there_is_nothing_to_keep():
    """``--freeze layer3`` froze a part in the middle, and images were kept as what it gives."""
    model = torchvision.models.resnet18()
    part = FreezePart(freeze=("layer3",))
    plan = plan_freeze(model, registry.load().model("resnet18"), part, SHOWN)
    assert list(candidates(Tracer(model, SHOWN), plan, frozenset(plan.frozen))) == []


def test_an_auxiliary_head_that_trains_is_behind_the_cut():
    model = torchvision.models.googlenet(init_weights=False)
    plan = plan_freeze(model, registry.load().model("googlenet"), FreezePart(upto="backbone"))
    points = list(candidates(Tracer(model), plan, frozenset(plan.frozen)))
    assert str(points[0]) == "after inception4a"


def test_a_dropout_that_is_not_held_is_behind_the_cut():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Dropout(), nn.Linear(4096, 2))
    plan = plan_freeze(model, None, FreezePart(upto="0"), SHOWN)
    points = list(candidates(Tracer(model, SHOWN), plan, frozenset(plan.frozen)))
    assert str(points[0]) == "after 1"


def test_what_runs_early_and_what_folds():
    model = torchvision.models.resnet18()
    trace, plan, points = found("resnet18", "layer1", model)
    assert early_modules(model, trace, points[0]) == ("bn1", "conv1", "maxpool", "relu")
    assert folds(model, trace, points[0], plan) == (
        ("conv1", "bn1"),
        ("layer1.0.conv1", "layer1.0.bn1"),
        ("layer1.0.conv2", "layer1.0.bn2"),
        ("layer1.1.conv1", "layer1.1.bn1"),
        ("layer1.1.conv2", "layer1.1.bn2"),
    )
    assert trace.named(upstream(trace, points[0])) == set(plan.frozen)


def test_a_convolution_that_others_read_does_not_fold():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm = nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4)
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            x = self.conv(x)
            return self.head((self.norm(x) + x).mean((2, 3)))

    model = Net()
    plan = plan_freeze(model, None, FreezePart(freeze=("conv", "norm")), SHOWN)
    tracer = Tracer(model, SHOWN)
    point = next(iter(candidates(tracer, plan, frozenset(plan.frozen))))
    assert str(point) == "before head"
    assert folds(model, tracer.trace(), point, plan) == ()
