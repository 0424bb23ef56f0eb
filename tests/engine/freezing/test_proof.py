from __future__ import annotations

import pytest
import torch
import torchvision

from zoo.core import registry
from zoo.core.recipe import FreezePart
from zoo.engine.freezing.freeze import plan_freeze
from zoo.engine.freezing.proof import check, digest, take

RESNET = registry.load().model("resnet18")


def case(**part):
    model = torchvision.models.resnet18(num_classes=3)
    return model, plan_freeze(model, RESNET, FreezePart(**part))


def test_the_final_line():
    model, plan = case(upto="layer3")
    before = take(model, plan)
    with torch.no_grad():
        model.fc.weight.add_(1)
        model.layer4[0].bn1.running_mean.add_(1)
    result = check(before, model, plan)
    assert result.line == "frozen: 45 tensors, 45 BN buffers, unchanged ✓"
    assert result.ok
    assert result.to_dict()["sha256"] == before.digest
    assert len(before.digest) == 64


@pytest.mark.parametrize(
    "name", ["conv1.weight", "layer3.1.bn2.bias", "bn1.running_var", "bn1.num_batches_tracked"]
)
def test_one_bit_is_enough(name):
    model, plan = case(upto="layer3")
    before = take(model, plan)
    with torch.no_grad():
        tensor = model.state_dict()[name]
        tensor.view(-1)[0] += 1
    result = check(before, model, plan)
    assert (result.ok, result.changed) == (False, (name,))
    assert "1 changed ✗" in result.line
    assert name in result.line
    assert result.proof.digest != before.digest


def test_statistics_that_may_move_are_left_out_and_said():
    model, plan = case(upto="layer3", frozen_bn="update")
    before = take(model, plan)
    model.bn1.running_mean.add_(1)
    result = check(before, model, plan)
    assert result.ok
    assert result.line.endswith("unchanged ✓ | 45 BN buffers move (frozen_bn=update)")
    assert not result.proof.norm_buffers


def test_what_trains_later_is_not_claimed():
    model, plan = case(upto="layer3", unfreeze_at=("1:layer3",))
    before = take(model, plan)
    with torch.no_grad():
        model.layer3[0].conv1.weight.add_(1)
        model.layer3[0].bn1.running_mean.add_(1)
    result = check(before, model, plan)
    assert result.line == "frozen: 30 tensors, 30 BN buffers, unchanged ✓"


def test_other_buffers_are_counted():
    model = torchvision.models.swin_t(num_classes=2)
    spec = registry.load().model("swin_t")
    plan = plan_freeze(model, spec, FreezePart(upto="stage1"))
    before = take(model, plan)
    assert "2 other buffers" in check(before, model, plan).line
    name = next(iter(before.buffers))
    model.state_dict()[name].add_(1)
    assert check(before, model, plan).changed == (name,)


def test_a_digest_knows_type_shape_and_layout_does_not_matter():
    tensor = torch.arange(24.0).reshape(1, 4, 3, 2)
    assert digest(tensor) == digest(tensor.to(memory_format=torch.channels_last))
    assert digest(tensor) != digest(tensor.reshape(4, 6))
    assert digest(torch.zeros(2)) != digest(torch.zeros(2, dtype=torch.int32))
    assert len({digest(torch.tensor(v)) for v in (1, 2, 1.0)}) == 3
    assert digest(torch.zeros(0, 3)) != digest(torch.zeros(3, 0))
    assert digest(torch.ones(3, dtype=torch.bfloat16)) == digest(torch.ones(3).bfloat16())


def test_nothing_frozen_to_the_end_is_no_proof():
    model, plan = case(upto="layer3", unfreeze_at=("1:backbone",))
    result = check(take(model, plan), model, plan)
    assert result.ok
    assert result.line == "frozen: nothing to the end, so nothing is proved"
