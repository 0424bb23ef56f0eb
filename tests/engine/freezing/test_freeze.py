from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from zoo.core import registry
from zoo.core.recipe import FreezePart, SurgeryPart
from zoo.core.specs import InputSpec
from zoo.engine.freezing.freeze import apply, freeze_upto, hold, plan_freeze
from zoo.engine.freezing.proof import check, take
from zoo.engine.surgery import operate
from zoo.errors import FreezeError

RESNET = registry.load().model("resnet18")


@pytest.fixture(scope="module")
def resnet():
    return torchvision.models.resnet18(num_classes=300)


def plan(model, **request):
    return plan_freeze(model, RESNET, FreezePart(**request))


@pytest.mark.parametrize(
    ("target", "trainable", "tensors", "norms"),
    [
        ("layer3", 8_547_628, 45, 15),
        ("stage3", 8_547_628, 45, 15),
        ("layer3.0", 9_728_300, 39, 13),
        ("layer2", 10_647_340, 30, 10),
        ("layer4", 153_900, 60, 20),
        ("backbone", 153_900, 60, 20),
    ],
)
def test_names_are_inclusive(resnet, target, trainable, tensors, norms):
    found = plan(resnet, upto=target)
    assert found.trainable_size == trainable
    assert (len(found.frozen), len(found.norms)) == (tensors, norms)
    assert found.frozen_size + found.trainable_size == 11_330_412


def test_the_line_says_it_all(resnet):
    assert plan(resnet, upto="layer3").line() == (
        "frozen stem layer1 layer2 layer3 | 2,782,784 params, 15 BN (eval) "
        "|| trainable layer4 fc | 8,547,628"
    )
    assert plan(resnet, upto="layer3.0").line().startswith("frozen stem layer1 layer2 layer3.0 |")


def test_before_is_exclusive(resnet):
    assert plan(resnet, before="layer3").frozen == plan(resnet, upto="layer2").frozen


def test_a_neck_is_part_of_the_backbone():
    spec = registry.load().model("mobilenet_v3_small")
    model = torchvision.models.mobilenet_v3_small(num_classes=7)
    head = plan_freeze(model, spec, FreezePart(upto="backbone"))
    assert head.trainable == ("classifier.3.weight", "classifier.3.bias")
    assert plan_freeze(model, spec, FreezePart(upto="neck")).frozen == head.frozen
    # The dropout in front of the head still regularises it.
    assert isinstance(model.classifier[2], nn.Dropout)
    assert "classifier.0" in head.eval_modules
    assert "classifier.2" not in head.eval_modules


def test_auxiliary_heads_train_unless_they_are_named():
    spec = registry.load().model("googlenet")
    model = torchvision.models.googlenet(init_weights=False)
    trained = plan_freeze(model, spec, FreezePart(upto="backbone"))
    assert {n.partition(".")[0] for n in trained.trainable} == {"aux1", "aux2", "fc"}
    named = plan_freeze(model, spec, FreezePart(upto="inception4b", freeze=("aux1",)))
    assert "aux1" in named.frozen_parts
    assert {"aux2", "fc"} <= set(named.trainable_parts)


@pytest.mark.parametrize(
    ("request_", "message", "hint"),
    [
        ({"upto": "layr3"}, "no stage or module 'layr3'", "did you mean layer3"),
        ({"upto": "fc"}, "the head fc would be frozen", "backbone"),
        ({"freeze": ("*",)}, "the head fc would be frozen", "--unfreeze 'fc.*'"),
        ({"freeze": ("layer9.*",)}, "'layer9.*' matches no parameter", "try layer"),
        ({"upto": "layer2", "unfreeze": ("zzz",)}, "--unfreeze 'zzz' matches no", "try"),
        ({"before": "stem"}, "no parameter comes before stem", "stem, layer1"),
        ({"before": "backbone"}, "nothing comes before", "--freeze-upto backbone"),
        ({"upto": "layer1", "before": "layer3"}, "both given", "one of them"),
        ({"unfreeze": ("layer1",)}, "nothing is frozen", "--freeze-upto stem"),
        (
            {"upto": "layer1", "unfreeze_at": ("3:layer3",)},
            "not frozen at that time",
            "name a part",
        ),
        ({"upto": "layer1", "unfreeze_at": ("layer1",)}, "not EPOCHS:TARGET", "3:layer3"),
        ({"upto": "layer1", "unfreeze_at": ("0:layer1",)}, "from the start", "--unfreeze layer1"),
    ],
)
def test_what_cannot_be_meant_is_refused(resnet, request_, message, hint):
    with pytest.raises(FreezeError) as caught:
        plan(resnet, **request_)
    assert message in caught.value.message
    assert hint in caught.value.hint
    assert caught.value.exit_code == 2


def test_random_weights_are_not_frozen_by_accident(resnet):
    with pytest.raises(FreezeError, match="random weights"):
        plan_freeze(resnet, RESNET, FreezePart(upto="layer3"), pretrained=False)
    allowed = FreezePart(upto="layer3", allow_random_frozen=True)
    assert plan_freeze(resnet, RESNET, allowed, pretrained=False).frozen


def test_a_feature_extractor_frozen_to_its_end_has_nothing_left_to_train():
    model = torchvision.models.resnet18()
    operate(model, RESNET, SurgeryPart(drop_last=True))
    with pytest.raises(FreezeError, match="nothing would be left"):
        plan(model, upto="layer4")


def test_a_split_pair_is_a_warning_with_a_way_out(resnet):
    found = plan(resnet, upto="conv1")
    assert found.warnings == ("conv1 is frozen but its norm bn1 trains: freeze up to stem",)
    assert plan(resnet, upto="stem").warnings == ()


def test_globs_are_anchored_and_applied_in_order(resnet):
    found = plan(resnet, freeze=("layer?.0.*", "stem"), unfreeze=("layer4.*",))
    assert "layer1.0.conv1.weight" in found.frozen
    assert "layer1.1.conv1.weight" not in found.frozen
    assert not [n for n in found.frozen if n.startswith("layer4")]
    assert plan(resnet, freeze=("bn1",)).frozen == ("bn1.weight", "bn1.bias")


@pytest.mark.parametrize("frozen_bn", ["eval", "update", "affine"])
def test_twenty_steps_on_shifted_data_leave_frozen_numbers_alone(frozen_bn):
    torch.manual_seed(0)
    model = torchvision.models.resnet18(num_classes=5)
    found = plan(model, upto="layer2", frozen_bn=frozen_bn)
    apply(model, found)
    before = take(model, found)
    names = dict(model.named_parameters())
    optimizer = torch.optim.SGD([names[n] for n in found.trainable], lr=0.05, weight_decay=0.1)
    for _ in range(20):
        model.train()
        hold(model, found)
        loss = model(torch.randn(4, 3, 32, 32) * 3 + 5).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    result = check(before, model, found)
    assert result.ok, result.line
    moved = int(model.bn1.num_batches_tracked)
    scale_moved = not torch.equal(model.bn1.weight, torch.ones(64))
    assert (moved, scale_moved) == {
        "eval": (0, False), "update": (20, False), "affine": (0, True),
    }[frozen_bn]  # fmt: skip
    assert int(model.layer3[0].bn1.num_batches_tracked) == 20


def test_only_flags_leave_the_statistics_moving_and_the_proof_sees_it():
    model = torchvision.models.resnet18(num_classes=5)
    found = plan(model, upto="layer2")
    apply(model, found)
    before = take(model, found)
    model.train()  # not followed by hold()
    model(torch.randn(4, 3, 32, 32))
    result = check(before, model, found)
    assert not result.ok
    assert len(result.changed) == 30


def test_head_freeze_hold_optimizer_is_the_order_that_works():
    model = torchvision.models.resnet18()
    operate(model, RESNET, SurgeryPart(), classes=300)
    found = plan(model, upto="layer3")
    apply(model, found)
    model.train()
    hold(model, found)
    trainable = [n for n, p in model.named_parameters() if p.requires_grad]
    assert tuple(trainable) == found.trainable
    assert sum(p.numel() for p in model.parameters() if p.requires_grad) == 8_547_628
    assert [m.training for m in (model.bn1, model.layer3, model.layer4, model.fc)] == [
        False, False, True, True,
    ]  # fmt: skip
    # Frozen before the head was swapped, the plan would have lost the new head.
    assert {"fc.weight", "fc.bias"} <= set(trainable)


def test_a_frozen_parameter_s_old_gradient_is_dropped():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(256, 2))
    model(torch.randn(2, 3, 8, 8)).sum().backward()
    freeze_upto(model, "0", expects=InputSpec(size=(3, 8, 8)))
    assert model[0].weight.grad is None
    assert model[2].weight.grad is not None


def test_a_plain_module_is_frozen_in_place():
    model = torchvision.models.resnet18()
    found = freeze_upto(model, "layer3")
    assert found.frozen_size == 2_782_784
    assert not model.layer3.training
    assert model.training
    assert not model.conv1.weight.requires_grad
    with pytest.raises(FreezeError, match="frozen_bn"):
        freeze_upto(model, "layer3", frozen_bn="off")


def test_what_the_author_keeps_fixed_stays_fixed():
    model = nn.Sequential(nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1), nn.Flatten(), nn.Linear(256, 2))
    model[1].bias.requires_grad_(False)
    part = FreezePart(upto="0")
    found = plan_freeze(model, None, part, InputSpec(size=(3, 8, 8)))
    assert "1.bias" in found.frozen
    part = FreezePart(upto="0", unfreeze=("1.bias",))
    found = plan_freeze(model, None, part, InputSpec(size=(3, 8, 8)))
    apply(model, found)
    assert model[1].bias.requires_grad


def test_no_request_freezes_nothing(resnet):
    found = plan(resnet)
    assert found.frozen == ()
    assert found.trainable_size == 11_330_412
    assert found.line() == "trainable all | 11,330,412 params"
