from __future__ import annotations

import pytest
import torchvision

from zoo.core import registry
from zoo.core.recipe import FreezePart
from zoo.engine.freezing.cone import Tracer
from zoo.engine.freezing.request import FreezeRequest
from zoo.engine.freezing.stages import layout_of
from zoo.errors import FreezeError


def request(name="resnet18", model=None, **part):
    spec = registry.load().model(name)
    tracer = Tracer(model or torchvision.models.resnet18(), spec.input)
    return FreezeRequest(tracer, layout_of(tracer, spec), FreezePart(**part))


@pytest.mark.parametrize(
    ("pattern", "count"),
    [
        ("layer1", 12),
        ("stage1", 12),
        ("stem", 3),
        ("layer[12]", 27),
        ("layer1.0.conv1.weight", 1),
        ("*.bias", 21),
        ("backbone", 60),
        ("head", 2),
    ],
)
def test_stages_modules_parameters_and_globs_match(pattern, count):
    assert len(request().match(pattern, "--freeze")) == count


def test_a_pattern_is_not_a_substring():
    with pytest.raises(FreezeError, match="matches no parameter"):
        request().match("layer", "--freeze")


def test_norm_parameters_are_known_and_leave_only_with_affine():
    kept = request(upto="layer1")
    assert len(kept.frozen()) == 15
    assert len(kept.affine) == 10
    assert len(request(upto="layer1", frozen_bn="affine").frozen()) == 5


def test_later_phases_release_in_order():
    wanted = request(upto="layer3", unfreeze_at=("5:layer2", "2:layer3"))
    frozen = wanted.frozen()
    assert [(e, len(frozen) - len(n)) for e, n in wanted.later(frozen)] == [(2, 15), (5, 30)]


def test_auxiliary_heads_inside_a_target_are_left_out():
    model = torchvision.models.googlenet(init_weights=False)
    wanted = request("googlenet", model, upto="inception4a")
    assert not [n for n in wanted.frozen() if n.startswith("aux")]
    assert [n for n in wanted.match("aux1", "--freeze") if n.startswith("aux1")]
