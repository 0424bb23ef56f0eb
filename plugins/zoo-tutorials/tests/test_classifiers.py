"""The small classifiers: sizes that the introductions state, and the size formula."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from zoo.plugin import UsageError
from zoo_tutorials.classifiers import ConvNet, Mlp, catdog, lenet


def count(model: nn.Module) -> int:
    return sum(parameter.numel() for parameter in model.parameters())


def test_lenet_has_the_parameters_that_the_introduction_prints():
    assert count(lenet()) == 61_706
    assert [p.numel() for p in lenet().parameters()][:4] == [150, 6, 2400, 16]


def test_lenet_takes_colour_images_for_cifar10():
    assert lenet(in_channels=3)(torch.zeros(2, 3, 32, 32)).shape == (2, 10)


def test_mlp_is_the_quickstart_network():
    layers = [m for m in Mlp().modules() if isinstance(m, nn.Linear)]
    assert [(m.in_features, m.out_features) for m in layers] == [(784, 512), (512, 512), (512, 10)]
    assert Mlp()(torch.zeros(3, 1, 28, 28)).shape == (3, 10)


def test_catdog_tells_two_kinds_of_32_pixel_photographs_apart():
    linear = [m for m in catdog().modules() if isinstance(m, nn.Linear)]
    assert len(linear) == 3
    assert catdog()(torch.zeros(2, 3, 32, 32)).shape == (2, 2)


@pytest.mark.parametrize("size", [16, 20, 28, 31, 32, 33, 64])
@pytest.mark.parametrize("build", [lenet, catdog])
def test_linear_layers_fit_every_image_size(build, size):
    model = build(size=size)
    channels = model.conv1.in_channels
    assert model(torch.zeros(1, channels, size, size)).shape[0] == 1


def test_an_image_that_is_too_small_is_refused_with_a_way_on():
    with pytest.raises(UsageError, match="too small") as caught:
        lenet(size=8)
    assert "size=32" in caught.value.hint


@pytest.mark.parametrize("model", [Mlp(), lenet(), catdog()], ids=["mlp", "lenet", "catdog"])
def test_every_parameter_gets_a_gradient(model):
    channels = 1 if isinstance(model, Mlp) or model.conv1.in_channels == 1 else 3
    size = 28 if isinstance(model, Mlp) else 32
    model(torch.randn(4, channels, size, size)).square().sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())


def test_it_is_one_class_behind_lenet_and_catdog():
    assert type(lenet()) is type(catdog()) is ConvNet
