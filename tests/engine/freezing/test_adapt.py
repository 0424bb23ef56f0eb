"""zoo.engine.freezing.adapt: which layers get an adapter, and what trains then."""

import pytest
import torch
import torchvision
from torch import nn

from zoo.core import registry
from zoo.core.recipe import FreezePart
from zoo.core.specs import InputSpec
from zoo.engine.adapters.lora import UP, is_adapter, merged
from zoo.engine.freezing.adapt import adapt
from zoo.engine.freezing.freeze import apply, plan_freeze
from zoo.engine.prefix.cut import cut
from zoo.errors import FreezeError

FAMILIES = {
    "alexnet": 64, "resnet18": 64, "inception_v3": 96, "googlenet": 64, "densenet121": 64,
    "shufflenet_v2_x0_5": 64, "mobilenet_v3_small": 64, "efficientnet_b0": 64, "convnext_tiny": 64,
    "vit_b_16": 224, "swin_v2_t": 64, "maxvit_t": 224,
}  # fmt: skip


def spec_of(name):
    return registry.load().model(name)


def build(name, classes=5):
    options = {"init_weights": False} if name in ("inception_v3", "googlenet") else {}
    return torchvision.models.get_model(name, num_classes=classes, **options)


def adapted(name, model, size=64, **request):
    """Adapt and freeze; the plan, the line, and the names of adapted layers."""
    shown = InputSpec(size=(3, size, size))
    part, line = adapt(model, spec_of(name), FreezePart(**request), shown)
    plan = plan_freeze(model, spec_of(name), part, shown)
    apply(model, plan)
    names = [n for n, _ in model.named_parameters() if n.endswith(f".{UP}")]
    return plan, line, names


def lively(model, size):
    """Norms that fit what they are given and a head that says something, so that outputs are of size 1."""
    model.eval()
    for norm in [m for m in model.modules() if isinstance(m, nn.BatchNorm2d)]:
        norm.train().momentum = None  # the running statistics are the mean of what was seen
    model(torch.randn(4, 3, size, size))
    for linear in [m for m in model.modules() if isinstance(m, nn.Linear)][-1:]:
        nn.init.normal_(linear.weight)
    return model.eval()


@pytest.mark.parametrize("name", FAMILIES)
@torch.no_grad()
def test_the_published_model_computes_what_the_trained_one_does(name):
    """Whatever a forward does with its weights, the sums in a plain model give the same."""
    size = FAMILIES[name]
    torch.manual_seed(0)
    model, images = lively(build(name), size), torch.randn(2, 3, size, size)
    before = model(images)
    _, _, names = adapted(name, model, size, lora=2)
    assert torch.equal(model(images), before)
    for key, parameter in model.named_parameters():
        if key in names:
            nn.init.normal_(parameter, std=0.05)
    plain = build(name).eval()
    plain.load_state_dict(merged(model.state_dict()))
    found, told = model(images), plain(images)
    largest = float(told.abs().max())
    assert float((found - told).abs().max()) < 1e-3 * largest
    assert float((found - before).abs().max()) > 1e-2 * largest


def test_a_convolutional_network():
    model = build("resnet18")
    plan, line, names = adapted("resnet18", model, lora=8)
    assert len(names) == 20
    assert {n for n in plan.trainable if not is_adapter(n)} == {"fc.weight", "fc.bias"}
    count = sum(p.numel() for n, p in model.named_parameters() if is_adapter(n))
    assert plan.line() == (
        f"frozen stem layer1 layer2 layer3 layer4 | 11,176,512 params, 20 BN (eval) "
        f"|| trainable adapters fc | {count + 5 * 513:,}"
    )
    assert line == (
        f"LoRA of rank 8 on 20 layers, {count:,} parameters, scale 2; added into the weights that "
        "are published"
    )


def test_attention_that_uses_weights_without_their_layers():
    model = build("vit_b_16")
    _, line, names = adapted("vit_b_16", model, 224, lora=4)
    assert "on 25 layers and 24 weights that are used without their layer" in line
    attention = "encoder.layers.encoder_layer_0.self_attention"
    assert f"{attention}.parametrizations.in_proj_weight.0.{UP}" in names
    assert f"{attention}.out_proj.parametrizations.weight.0.{UP}" in names


def test_what_the_flags_freeze_gets_none_and_is_still_cut_off():
    model = build("resnet18")
    plan, _, names = adapted("resnet18", model, upto="layer3", lora=8)
    assert {name.partition(".")[0] for name in names} == {"layer4"}
    assert plan.line().startswith("frozen stem layer1 layer2 layer3 layer4 |")
    made = cut(model, plan, InputSpec(size=(3, 64, 64)))
    assert "layer3" in str(made.point)
    whole = build("resnet18")
    plan, _, _ = adapted("resnet18", whole, lora=8)
    assert not cut(whole, plan, InputSpec(size=(3, 64, 64))).possible


def test_what_is_named_trains_whole():
    model = build("resnet18")
    globs = ("layer4.1", "*.bn1.weight")
    plan, _, names = adapted("resnet18", model, unfreeze=globs, lora=8)
    assert "layer4.1.conv1.weight" in plan.trainable
    assert "layer1.0.bn1.weight" in plan.trainable
    assert not any(name.startswith("layer4.1") for name in names)
    assert "layer4.0.conv1.weight" in plan.frozen


def test_before_a_stage_that_is_adapted_itself():
    model = build("resnet18")
    _, _, names = adapted("resnet18", model, before="layer4", lora=8)
    assert {name.partition(".")[0] for name in names} == {"layer4"}


def test_auxiliary_heads_train_whole_unless_they_are_frozen():
    model = build("googlenet")
    plan, _, _ = adapted("googlenet", model, lora=2)
    assert "aux1.fc1.weight" in plan.trainable
    model = build("googlenet")
    plan, _, _ = adapted("googlenet", model, lora=2, freeze=("aux1",))
    assert "aux1.fc1.weight" in plan.frozen
    assert "aux2.fc1.weight" in plan.trainable


def test_grouped_convolutions_stay_as_they_are():
    model = build("mobilenet_v3_small")
    _, _, names = adapted("mobilenet_v3_small", model, lora=8)
    modules = dict(model.named_modules())
    owners = [modules[name.removesuffix(f".lora.{UP}")] for name in names]
    grouped = [m for m in modules.values() if isinstance(m, nn.Conv2d) and m.groups > 1]
    assert len(grouped) == 11
    assert not any(owner.groups > 1 for owner in owners if isinstance(owner, nn.Conv2d))


def test_a_weight_that_two_layers_share_stays_as_it_is():
    class Tied(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two, self.head = nn.Linear(12, 12), nn.Linear(12, 12), nn.Linear(12, 3)
            self.two.weight = self.one.weight
            self.other = nn.Linear(12, 12)

        def forward(self, x):
            return self.head(self.other(self.two(self.one(x.flatten(1)))))

    model = Tied()
    adapt(model, None, FreezePart(lora=2), InputSpec(size=(3, 2, 2)))
    assert [n for n, _ in model.named_parameters() if is_adapter(n)] == [
        "other.lora.lora_down", "other.lora.lora_up"
    ]  # fmt: skip


def test_a_layer_of_somebodys_own_is_adapted_inside():
    class Standardised(nn.Conv2d):
        def forward(self, x):
            weight = self.weight / self.weight.flatten(1).std(1)[:, None, None, None]
            return self._conv_forward(x, weight, self.bias)

    torch.manual_seed(0)
    model = nn.Sequential(Standardised(3, 6, 3), nn.Flatten(), nn.Linear(6 * 36, 4))
    adapt(model, None, FreezePart(lora=2), InputSpec(size=(3, 8, 8)))
    for name, parameter in model.named_parameters():
        if name.endswith(UP):
            nn.init.normal_(parameter)
    plain = nn.Sequential(Standardised(3, 6, 3), nn.Flatten(), nn.Linear(6 * 36, 4))
    plain.load_state_dict(merged(model.state_dict()))
    images = torch.randn(2, 3, 8, 8)
    assert torch.allclose(model(images), plain(images), rtol=1e-4, atol=1e-6)


def test_the_seed_says_what_adapters_begin_with():
    found = []
    for seed in (1, 1, 2):
        model = build("resnet18")
        adapt(model, spec_of("resnet18"), FreezePart(lora=2), seed=seed)
        found.append(model.layer1[0].conv1.lora.lora_down.detach())
    assert torch.equal(found[0], found[1])
    assert not torch.equal(found[0], found[2])


def test_nothing_to_adapt_and_names_that_match_nothing():
    with pytest.raises(FreezeError, match="no layer left that could be adapted"):
        adapted("resnet18", build("resnet18"), upto="backbone", lora=8)
    with pytest.raises(FreezeError, match="--unfreeze 'nonsense' matches no parameter"):
        adapted("resnet18", build("resnet18"), unfreeze=("nonsense",), lora=8)
    part, _ = adapt(model := build("resnet18"), spec_of("resnet18"), FreezePart(lora=8))
    with pytest.raises(FreezeError, match="random weights"):
        plan_freeze(model, spec_of("resnet18"), part, pretrained=False)
