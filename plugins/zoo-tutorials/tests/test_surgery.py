"""VGG16 changed in three ways and ResNet-18 with a projection: the rest stays what it was."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torchvision.models import resnet18, vgg16

from zoo.plugin import UsageError
from zoo_tutorials.surgery import resnet18_projected, vgg16_changed


def on_meta(build, **options) -> nn.Module:
    with torch.device("meta"):
        return build(**options)


def shapes(model: nn.Module) -> dict[str, tuple[int, ...]]:
    return {name: tuple(value.shape) for name, value in model.state_dict().items()}


@pytest.mark.parametrize(
    ("how", "fresh"),
    [
        ("add", {"classifier.added.weight", "classifier.added.bias"}),
        ("replace", {"classifier.6.weight", "classifier.6.bias"}),
        (
            "insert",
            {f"classifier.{n}.{k}" for n in ("inserted", "last") for k in ("weight", "bias")},
        ),
    ],
)
def test_vgg16_keeps_every_other_layer_under_its_name(how, fresh):
    original, changed = shapes(on_meta(vgg16)), shapes(on_meta(vgg16_changed, how=how))
    assert {k for k, v in changed.items() if original.get(k) != v} == fresh


@pytest.mark.parametrize("how", ["add", "replace", "insert"])
def test_changed_vgg16_gives_ten_outputs(how):
    model = on_meta(vgg16_changed, how=how)
    assert model(torch.empty(2, 3, 224, 224, device="meta")).shape == (2, 10)


def test_another_way_is_refused():
    with pytest.raises(UsageError, match="swap"):
        on_meta(vgg16_changed, how="swap")


def test_projection_goes_512_400_relu_300():
    layers = list(resnet18_projected().fc)
    sizes = [(m.in_features, m.out_features) for m in layers if isinstance(m, nn.Linear)]
    assert sizes == [(512, 400), (400, 300)]
    assert isinstance(layers[1], nn.ReLU)


def test_weights_of_resnet18_fit_all_but_the_projection():
    model = resnet18_projected()
    found = model.load_state_dict(resnet18().state_dict(), strict=False)
    assert set(found.unexpected_keys) == {"fc.weight", "fc.bias"}
    assert set(found.missing_keys) == {f"fc.{i}.{k}" for i in (0, 2) for k in ("weight", "bias")}


def test_a_plain_sequence_of_the_children_would_lose_the_flattening():
    backbone = nn.Sequential(*list(resnet18().children())[:-1], nn.Linear(512, 300))
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        backbone(torch.zeros(2, 3, 64, 64))
    assert resnet18_projected()(torch.zeros(2, 3, 64, 64)).shape == (2, 300)
