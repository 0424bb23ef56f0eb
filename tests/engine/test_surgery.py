from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from zoo.core import registry
from zoo.core.recipe import SurgeryPart
from zoo.core.specs import InputSpec, ModelSpec
from zoo.engine.surgery import operate
from zoo.errors import UsageError

MODELS = torchvision.models


def spec(name):
    return registry.load().model(name)


def test_a_new_head_and_everything_else_as_it_was():
    model = MODELS.resnet18().eval()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    report = operate(model, spec("resnet18"), SurgeryPart(), classes=300)
    assert report.changes == ("fc: Linear(512, 1000) -> Linear(512, 300)",)
    assert report.fresh == ("fc.weight", "fc.bias")
    assert (report.head, report.outputs) == ("fc", 300)
    assert model(torch.randn(2, 3, 64, 64)).shape == (2, 300)
    same = {k for k, v in model.state_dict().items() if v.equal(before[k])}
    assert set(before) - same == {"fc.weight", "fc.bias"}


def test_a_head_that_fits_is_kept_unless_it_is_reset():
    model = MODELS.resnet18(num_classes=10)
    weight = model.fc.weight.detach().clone()
    assert operate(model, spec("resnet18"), SurgeryPart(), classes=10).changes == ()
    assert torch.equal(model.fc.weight, weight)
    report = operate(model, spec("resnet18"), SurgeryPart(reset_head=True), classes=10)
    assert report.fresh == ("fc.weight", "fc.bias")
    assert not torch.equal(model.fc.weight, weight)


def test_the_seed_alone_decides_the_new_numbers():
    def head(seed, before):
        torch.manual_seed(before)
        model = MODELS.resnet18()
        state = torch.get_rng_state()
        operate(model, spec("resnet18"), SurgeryPart(), classes=7, seed=seed)
        assert torch.equal(torch.get_rng_state(), state)
        return model.fc.weight

    assert torch.equal(head(1, before=5), head(1, before=6))
    assert not torch.equal(head(1, before=5), head(2, before=5))


@pytest.mark.parametrize(
    ("name", "width"),
    [
        ("resnet18", 512),
        ("squeezenet1_1", 512),
        ("mobilenet_v2", 1280),
        ("vgg11", 4096),
        ("densenet121", 1024),
        ("vit_b_32", 768),
    ],
)
def test_without_its_last_layer_a_model_gives_features(name, width):
    model = registry.load().build("model", name).eval()
    report = operate(model, spec(name), SurgeryPart(drop_last=True))
    assert report.fresh == ()
    assert report.outputs == width
    assert "features" in report.changes[0]
    with torch.no_grad():
        assert model(torch.zeros(2, *spec(name).input.size)).shape == (2, width)


def test_a_projection_takes_the_head_s_place():
    model = MODELS.resnet18()
    part = SurgeryPart(project=(400, 300), drop_last=True)
    report = operate(model, spec("resnet18"), part, classes=300)
    assert [str(layer) for layer in model.fc] == [
        "Linear(in_features=512, out_features=400, bias=True)",
        "ReLU()",
        "Linear(in_features=400, out_features=300, bias=True)",
    ]
    assert report.changes == ("fc: Linear(512, 1000) -> Linear(512, 400) ReLU Linear(400, 300)",)
    assert report.fresh == ("fc.0.weight", "fc.0.bias", "fc.2.weight", "fc.2.bias")
    assert report.outputs == 300
    with pytest.raises(UsageError, match="ends in 300 outputs but there are 5 classes") as caught:
        operate(model, spec("resnet18"), part, classes=5)
    assert caught.value.hint == "--project 400,5"


def test_convolutional_heads():
    model = MODELS.squeezenet1_1().eval()
    assert operate(model, spec("squeezenet1_1"), SurgeryPart(), classes=9).changes == (
        "classifier.1: Conv2d(512, 1000) -> Conv2d(512, 9)",
    )
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 9)
    assert model.num_classes == 9
    operate(model, spec("squeezenet1_1"), SurgeryPart(project=(20, 4)))
    assert model(torch.zeros(1, 3, 64, 64)).shape == (1, 4)


@pytest.mark.parametrize("name", ["googlenet", "inception_v3"])
def test_auxiliary_heads_follow(name):
    build = getattr(MODELS, name)
    model = build(init_weights=False, aux_logits=True, transform_input=True)
    report = operate(model, spec(name), SurgeryPart(in_channels=1), classes=6)
    assert any("transform_input off" in text for text in report.changes)
    heads = [text for text in report.changes if "-> Linear" in text]
    assert len(heads) == 1 + len(spec(name).aux)
    assert any(n.lower().startswith("aux") for n in report.fresh)
    size = spec(name).input.size[-1]
    outputs = model(torch.zeros(2, 1, size, size))
    assert {tuple(t.shape) for t in outputs if t is not None} == {(2, 6)}


def test_missing_auxiliary_heads_are_fine():
    model = MODELS.googlenet(init_weights=False, aux_logits=False)
    assert len(operate(model, spec("googlenet"), SurgeryPart(), classes=6).changes) == 1


@pytest.mark.parametrize("name", ["resnet18", "mobilenet_v2", "vit_b_32", "swin_t", "densenet121"])
def test_one_channel_gives_what_three_equal_ones_gave(name):
    model = registry.load().build("model", name).eval()
    grey = torch.rand(1, 1, *spec(name).input.size[1:])
    with torch.no_grad():
        before = model(grey.expand(-1, 3, -1, -1))
        report = operate(model, spec(name), SurgeryPart(in_channels=1))
        after = model(grey)
    assert report.fresh == ()
    assert "weights summed" in report.changes[0]
    torch.testing.assert_close(after, before, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("channels", [2, 4, 6, 13])
def test_more_channels_keep_the_total(channels):
    model = MODELS.resnet18()
    weight = model.conv1.weight.detach().clone()
    report = operate(model, spec("resnet18"), SurgeryPart(in_channels=channels))
    assert report.changes == (
        f"conv1: 3 -> {channels} input channels, weights repeated and scaled",
    )
    assert model.conv1.in_channels == channels
    torch.testing.assert_close(model.conv1.weight[:, 0], weight[:, 0] * 3 / channels)
    assert model.conv1.weight.requires_grad
    assert model(torch.zeros(2, channels, 64, 64)).shape == (2, 1000)


def test_channels_that_fit_change_nothing():
    assert operate(MODELS.resnet18(), spec("resnet18"), SurgeryPart(in_channels=3)).changes == ()


def test_the_first_convolution_is_found_by_execution():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.late, self.first = nn.Conv2d(4, 4, 1), nn.Conv2d(3, 4, 1)
            self.second = nn.Conv2d(3, 4, 3, padding=1)
            self.head = nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.late(self.first(x) + self.second(x)).mean((2, 3)))

    model = Net()
    assert len(operate(model, None, SurgeryPart(in_channels=1)).changes) == 2
    assert model.late.in_channels == 4
    assert model(torch.zeros(1, 1, 8, 8)).shape == (1, 2)


class Placed(nn.Module):
    """Convolutions of constants, of the image, and of pixels that were made channels."""

    def __init__(self, *, fold):
        super().__init__()
        self.fold = fold
        self.places = nn.Conv2d(2, 8, 1)
        self.first = nn.Conv2d(12 if fold else 3, 8, 3, padding=1)
        self.head = nn.Linear(8, 2)

    def forward(self, images):
        maps = self.first(nn.functional.pixel_unshuffle(images, 2) if self.fold else images)
        grid = torch.ones(1, 2, *maps.shape[2:], device=maps.device)
        return self.head((maps + self.places(grid)).mean((2, 3)))


def test_a_layer_of_constants_is_not_the_first():
    model = Placed(fold=False)
    report = operate(model, None, SurgeryPart(in_channels=1))
    assert report.changes == ("first: 3 -> 1 input channels, weights summed",)
    assert model(torch.zeros(1, 1, 8, 8)).shape == (1, 2)


def test_channels_that_a_model_makes_of_pixels_stay():
    declared = ModelSpec(name="x", target="a:b", head="head", input=InputSpec(size=(3, 8, 8)))
    with pytest.raises(UsageError, match="first takes 12 channels, which the model makes of the"):
        operate(Placed(fold=True), declared, SurgeryPart(in_channels=1))


def test_a_convolution_that_scales_its_weights_is_said_to_give_other_numbers():
    class Scaled(nn.Conv2d):
        def forward(self, maps):
            weight = self.weight / self.weight.std(dim=(1, 2, 3), keepdim=True)
            return nn.functional.conv2d(maps, weight, self.bias)

    model = nn.Sequential(Scaled(3, 8, 3), nn.Flatten(), nn.LazyLinear(2))
    model(torch.zeros(1, 3, 32, 32))
    (said,) = operate(model, None, SurgeryPart(in_channels=1)).changes
    assert "grey images give other numbers" in said


def test_models_that_cannot_be_changed_say_so():
    linear = nn.Sequential(nn.Flatten(), nn.Linear(784, 8), nn.Linear(8, 2))
    with pytest.raises(UsageError, match=r"first layer 1 is Linear\(784, 8\)") as caught:
        operate(linear, None, SurgeryPart(in_channels=2))
    assert "options" in caught.value.hint
    odd = ModelSpec(name="x", target="a:b", head="bn1")
    with pytest.raises(UsageError, match="is a BatchNorm2d"):
        operate(MODELS.resnet18(), odd, SurgeryPart(), classes=3)
    with pytest.raises(UsageError, match="no head at 'top'"):
        operate(
            MODELS.resnet18(),
            ModelSpec(name="x", target="a:b", head="top"),
            SurgeryPart(),
            classes=3,
        )


def test_an_undeclared_head_is_found():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.Flatten(), nn.Linear(4 * 32 * 32, 2), nn.Softmax(1)
    )
    report = operate(model, None, SurgeryPart(), classes=5)
    assert (report.head, report.outputs) == ("2", 5)


def test_nothing_asked_nothing_done():
    report = operate(MODELS.resnet18(), spec("resnet18"), SurgeryPart())
    assert (report.changes, report.fresh) == ((), ())


class Backbone(nn.Module):
    """Features, and an identity where a head would be; or two heads whose outputs are averaged."""

    def __init__(self, classes=0, pool=True, distilled=False):
        super().__init__()
        self.num_classes = classes
        self.conv = nn.Conv2d(3, 6, 3)
        self.pool = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten()) if pool else nn.ReLU()
        self.head = nn.Linear(6, classes) if classes else nn.Identity()
        self.head_dist = nn.Linear(6, classes) if distilled else None

    def forward(self, images):
        features = self.pool(self.conv(images))
        if self.head_dist is None:
            return self.head(features)
        return (self.head(features) + self.head_dist(features)) / 2


BARE = ModelSpec(name="bare", target="a:b", head="head", task="features")
PAIR = ModelSpec(name="pair", target="a:b", head="head", aux=("head_dist",))


@pytest.mark.parametrize("classes", [5, 6])
def test_an_identity_gives_its_place_to_a_head(classes):
    model = Backbone()
    before = model(torch.ones(2, 3, 8, 8))
    report = operate(model, BARE, SurgeryPart(), classes=classes)
    assert report.changes == (f"head: added, Linear(6, {classes})",)
    assert set(report.fresh) == {"head.weight", "head.bias"}
    assert model.num_classes == classes
    expected = torch.nn.functional.linear(before, model.head.weight, model.head.bias)
    torch.testing.assert_close(model(torch.ones(2, 3, 8, 8)), expected)


def test_an_identity_takes_a_projection_and_is_not_dropped_twice():
    model = Backbone()
    report = operate(model, BARE, SurgeryPart(drop_last=True))
    assert (report.changes, report.outputs) == ((), 6)
    operate(model, BARE, SurgeryPart(project=(8, 3)))
    assert model(torch.ones(2, 3, 8, 8)).shape == (2, 3)


def test_what_is_not_features_takes_no_head():
    with pytest.raises(UsageError, match=r"head is given \(N, 6, \d+, \d+\), not features"):
        operate(Backbone(pool=False), BARE, SurgeryPart(), classes=3)


def test_heads_that_are_averaged_are_changed_and_dropped_together():
    model = Backbone(4, distilled=True)
    report = operate(model, PAIR, SurgeryPart(), classes=7)
    assert len(report.changes) == 2
    assert {n.partition(".")[0] for n in report.fresh} == {"head", "head_dist"}
    assert model(torch.ones(2, 3, 8, 8)).shape == (2, 7)
    operate(model, PAIR, SurgeryPart(project=(9, 5)))
    assert model(torch.ones(2, 3, 8, 8)).shape == (2, 5)
    features = Backbone(4, distilled=True)
    report = operate(features, PAIR, SurgeryPart(drop_last=True))
    assert report.changes[1] == "head_dist: Linear(6, 4) -> Identity"
    images = torch.ones(2, 3, 8, 8)
    torch.testing.assert_close(features(images), features.pool(features.conv(images)))


def test_heads_on_features_of_several_widths_are_not_dropped():
    class Branches(nn.Module):
        def __init__(self):
            super().__init__()
            self.narrow, self.wide = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 6, 1)
            self.head, self.head_dist = nn.Linear(4, 5), nn.Linear(6, 5)

        def forward(self, images):
            narrow, wide = (layer(images).mean((2, 3)) for layer in (self.narrow, self.wide))
            return self.head(narrow) + self.head_dist(wide)

    model = Branches()
    with pytest.raises(UsageError, match="widths: head 4, head_dist 6"):
        operate(model, PAIR, SurgeryPart(drop_last=True))
    assert model(torch.ones(2, 3, 8, 8)).shape == (2, 5)
    operate(model, PAIR, SurgeryPart(drop_last=True, project=(7,)))
    assert model(torch.ones(2, 3, 8, 8)).shape == (2, 7)


def test_without_its_last_layer_heads_that_only_training_uses_stay():
    model = MODELS.googlenet(init_weights=False, aux_logits=True)
    report = operate(model, spec("googlenet"), SurgeryPart(drop_last=True))
    assert len(report.changes) == 1
