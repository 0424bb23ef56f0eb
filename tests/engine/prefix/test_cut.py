from __future__ import annotations

import copy
import dataclasses

import pytest
import torch
from cones import filled, unfilled
from torch import nn
from torch.nn import functional

from zoo.core import registry
from zoo.core.recipe import FreezePart
from zoo.core.specs import InputSpec
from zoo.engine.freezing.freeze import apply, freeze_upto, hold, plan_freeze
from zoo.engine.prefix.cut import cut

SMALL = InputSpec(size=(3, 16, 16))


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def initialised(name):
    """A catalogued model as it is built, with norms that have seen something."""
    torch.manual_seed(1)
    model = registry.load().build("model", name)
    with torch.no_grad():
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
    return model


def prepared(name, target, size, model=None):
    """A catalogued model on a small input, with weights that are not all ones and zeros."""
    spec = registry.load().model(name)
    if model is None:
        with unfilled():
            model = filled(registry.load().build("model", name))
    shown = dataclasses.replace(spec.input, size=(spec.input.size[0], size, size))
    plan = plan_freeze(model, spec, FreezePart(upto=target), shown)
    apply(model, plan)
    return model, plan, shown


def outputs(given):
    return [given] if isinstance(given, torch.Tensor) else [t for t in given if t is not None]


FAMILIES = [
    ("alexnet", "stage2", 64, "after features.5"),
    ("convnext_tiny", "stage2", 32, "after features.3"),
    ("densenet121", "stage2", 32, "after features.transition2"),
    ("densenet121", "backbone", 32, "before classifier"),
    ("efficientnet_b0", "stage3", 32, "after features.3"),
    ("efficientnet_v2_s", "stem", 32, "after features.0"),
    ("googlenet", "inception4c", 64, "after inception4a"),  # aux1 hangs on inception4a
    pytest.param("inception_v3", "stem", 299, None, marks=pytest.mark.slow),
    pytest.param("maxvit_t", "stem", 224, "after stem", marks=pytest.mark.slow),
    ("mnasnet0_5", "backbone", 32, "before classifier"),
    ("mobilenet_v2", "stage3", 32, "after features.6"),
    ("mobilenet_v3_small", "backbone", 32, "after classifier.1"),
    ("regnet_y_400mf", "stage2", 32, "after trunk_output.block2"),
    ("resnet18", "layer3", 32, "after layer3"),
    ("resnet18", "layer3.0", 32, "after layer3.0"),
    ("resnet18", "layer3.0.conv1", 32, "after layer2"),  # the shortcut still needs layer2's output
    ("resnet18", "backbone", 32, "before fc"),
    ("resnext50_32x4d", "layer1", 32, "after layer1"),
    ("shufflenet_v2_x0_5", "stage2", 32, "after stage2"),
    ("squeezenet1_1", "backbone", 64, "after features"),
    ("swin_t", "stage1", 32, None),
    ("swin_v2_t", "stage2", 32, None),
    pytest.param("vgg11_bn", "stage2", 32, "after features.7", marks=pytest.mark.slow),
    pytest.param(
        "vit_b_32", "block1", 224, "after encoder.layers.encoder_layer_1", marks=pytest.mark.slow
    ),
    pytest.param("wide_resnet50_2", "layer2", 32, "after layer2", marks=pytest.mark.slow),
    ("tutorials/mlp", "hidden1", 28, "before hidden2"),
    ("tutorials/mlp", "backbone", 28, "before head"),
    ("tutorials/lenet", "conv2", 32, "after flatten"),
    ("tutorials/lenet", "backbone", 32, "before fc3"),
    ("tutorials/catdog", "conv1", 32, "before conv2"),
    ("tutorials/catdog", "backbone", 32, "before fc3"),
    ("tutorials/resnet18-projected", "layer3", 32, "after layer3"),
    ("tutorials/resnet18-projected", "backbone", 32, "after fc.1"),
    ("tutorials/upsampler", "enlarge", 32, "before head"),
    pytest.param("tutorials/vgg16-10", "stage5", 32, "before classifier", marks=pytest.mark.slow),
    pytest.param(
        "tutorials/vgg16-10-added", "backbone", 32, "after classifier.6", marks=pytest.mark.slow
    ),
    pytest.param(
        "tutorials/vgg16-10-inserted", "stage4", 32, "after features.23", marks=pytest.mark.slow
    ),
]


def listed():
    return {getattr(entry, "values", entry)[0] for entry in FAMILIES}


def test_every_family_and_every_tutorials_model_is_listed():
    shelf = registry.load().shelf("model")
    own = {spec.family for spec in shelf.values() if spec.plugin == "zoo"}
    assert own == {shelf[name].family for name in listed() if shelf[name].plugin == "zoo"}
    tutorials = {name for name, spec in shelf.items() if spec.plugin == "tutorials"}
    assert tutorials - listed() == {"tutorials/linear"}  # nothing comes before its head


@pytest.mark.parametrize(("name", "target", "size", "point"), FAMILIES)
def test_two_parts_are_the_whole_bit_for_bit(name, target, size, point):
    model, plan, shown = prepared(name, target, size)
    before = copy.deepcopy(model.state_dict())
    flags = [m.training for m in model.modules()]
    made = cut(model, plan, shown)
    assert made.possible, made.why
    assert point is None or str(made.point) == point
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert [m.training for m in model.modules()] == flags
    # Independently of the trial: other images, one step of training, whole against parts.
    images = torch.randn(2, *shown.size)
    model.train()
    hold(model, plan)
    gradients = []
    for run in (lambda: model(images), lambda: made.tail()(made.prefix()(images))):
        torch.manual_seed(4)
        model.load_state_dict(before)
        model.zero_grad(set_to_none=True)
        given = outputs(run())
        sum(t.square().mean() for t in given).backward()
        trained = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
        gradients.append((given, trained, {k: v.clone() for k, v in model.named_buffers()}))
    (one, grad, state), (other, grad_cut, state_cut) = gradients
    assert all(map(torch.equal, one, other))
    assert grad.keys() == grad_cut.keys()
    assert set(grad) <= set(plan.trainable)
    assert all(torch.equal(g, grad_cut[n]) for n, g in grad.items())
    assert all(torch.equal(b, state_cut[n]) for n, b in state.items())
    model.eval()
    with torch.no_grad():
        assert torch.equal(model(images), made.tail().eval()(made.prefix()(images)))


def test_folded_norms_change_roundings_only():
    model, plan, shown = prepared("resnet18", "layer3", 32, initialised("resnet18"))
    made = cut(model, plan, shown)
    assert len(made.folds) == 15
    images = torch.randn(4, *shown.size)
    plain, folded = made.prefix()(images), made.prefix(fold=True)(images)
    assert not torch.equal(plain, folded)
    torch.testing.assert_close(plain, folded, rtol=1e-4, atol=1e-5)
    assert isinstance(model.bn1, nn.BatchNorm2d)  # the model keeps its own


def test_a_tail_of_an_averaged_copy():
    from zoo.engine.ema import Ema

    model, plan, shown = prepared("resnet18", "layer3", 32)
    made, copy = cut(model, plan, shown), Ema(model, 0.5).module
    with torch.no_grad():
        copy.fc.weight.add_(1)
    images = torch.randn(2, *shown.size)
    with torch.no_grad():
        assert torch.equal(copy(images), made.tail(copy)(made.prefix()(images)))


def test_the_digest_follows_what_decides_the_outputs():
    model, plan, shown = prepared("resnet18", "layer1", 32)
    first = cut(model, plan, shown).digest()
    assert cut(model, plan, shown).digest() == first
    with torch.no_grad():
        model.layer4[0].conv1.weight.add_(1)  # behind the cut
    assert cut(model, plan, shown).digest() == first
    model.bn1.running_mean[0] += 1
    assert cut(model, plan, shown).digest() != first


class Net(nn.Module):
    def __init__(self, between=lambda self, x: x):
        super().__init__()
        self.between = between
        self.stem, self.body = nn.Conv2d(3, 4, 1), nn.Conv2d(4, 4, 1)
        self.norm = nn.BatchNorm2d(4, track_running_stats=False)
        self.register_buffer("scale", torch.full((1, 4, 1, 1), 2.0))
        self.head = nn.Linear(4, 2)

    def forward(self, x):
        return self.head(self.body(self.between(self, self.stem(x))).mean((2, 3)))


def cut_net(between, target="body"):
    model = Net(between)
    return cut(model, freeze_upto(model, target, expects=SMALL), SMALL)


def test_functional_randomness_before_a_cut_moves_the_cut():
    made = cut_net(lambda self, x: functional.dropout(x, 0.5, self.training))
    assert str(made.point) == "after stem"


def test_a_norm_that_uses_the_batch_moves_the_cut():
    made = cut_net(lambda self, x: self.norm(x), target="norm")
    assert str(made.point) == "after stem"


def test_root_buffers_before_the_cut_are_fine():
    made = cut_net(lambda self, x: x * self.scale)
    assert str(made.point) == "before head"
    assert made.bare


def test_decisions_by_values_before_the_cut_are_refused_with_a_reason():
    made = cut_net(lambda self, x: x if float(x.sum()) > -1e9 else -x)
    assert str(made.point) == "after stem" or "needs something else" in made.why


def test_a_skip_connection_from_the_image_leaves_nothing_to_cut():
    class Skip(Net):
        def forward(self, x):
            return self.head(self.body(self.stem(x)).mean((2, 3))) + x.mean((1, 2, 3))[:, None]

    model = Skip()
    made = cut(model, freeze_upto(model, "body", expects=SMALL), SMALL)
    assert not made.possible
    assert "no single tensor" in made.why


def test_a_module_called_on_both_sides_runs_behind_the_cut():
    class Twice(Net):
        def forward(self, x):
            x = self.body(functional.relu(self.body(self.stem(x))))
            return self.head(x.mean((2, 3)))

    model = Twice()
    made = cut(model, freeze_upto(model, "stem", expects=SMALL), SMALL)
    assert str(made.point) == "after stem"
    images = torch.randn(2, 3, 16, 16)
    assert torch.equal(model(images), made.tail()(made.prefix()(images)))


@pytest.mark.parametrize(
    ("part", "why"),
    [
        (FreezePart(upto="layer2", frozen_bn="update"), "batch norms move"),
        (FreezePart(upto="layer2", frozen_bn="affine"), "scales that train"),
        (FreezePart(upto="layer2", unfreeze_at=("1:backbone",)), "nothing stays frozen"),
        (FreezePart(), "nothing stays frozen"),
    ],
)
def test_plans_that_leave_nothing_to_cut(part, why):
    spec = registry.load().model("resnet18")
    model = registry.load().build("model", "resnet18")
    shown = InputSpec(size=(3, 32, 32))
    assert why in cut(model, plan_freeze(model, spec, part, shown), shown).why


def test_what_thaws_later_is_behind_the_cut_from_the_start():
    spec = registry.load().model("resnet18")
    model = registry.load().build("model", "resnet18")
    shown = InputSpec(size=(3, 32, 32))
    part = FreezePart(upto="layer3", unfreeze_at=("2:layer2",))
    assert str(cut(model, plan_freeze(model, spec, part, shown), shown).point) == "after layer1"


@pytest.mark.parametrize(
    ("name", "size", "vector", "mapped"),
    [
        ("resnet18", 64, "before fc", "after layer4"),
        ("mobilenet_v2", 64, "before classifier", "after features"),
        ("regnet_y_400mf", 64, "before fc", "after trunk_output"),
        ("vit_b_16", 32, None, None),
    ],
)
def test_a_head_can_be_cut_off_in_front_of_the_pooling(name, size, vector, mapped):
    options = {"image_size": 32} if name == "vit_b_16" else {}
    spec = registry.load().model(name)
    with unfilled():
        model = filled(registry.load().build("model", name, **options))
    shown = dataclasses.replace(spec.input, size=(3, size, size))
    plan = plan_freeze(model, spec, FreezePart(upto="backbone"), shown)
    apply(model, plan)
    late, early = cut(model, plan, shown), cut(model, plan, shown, maps=True)
    assert not late.map
    if mapped is None:
        assert early.point == late.point
        return
    assert str(late.point) == vector
    assert str(early.point) == mapped
    assert early.map
    assert early.upstream == late.upstream
    images = torch.randn(2, *shown.size)
    model.eval()
    with torch.no_grad():
        assert torch.equal(early.tail()(early.prefix()(images)), model(images))
