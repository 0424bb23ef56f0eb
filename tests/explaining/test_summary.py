"""Shapes, sizes and operations of a model, against torch's own counts and numbers known by hand."""

from __future__ import annotations

import pytest
import torch
import torchvision
from torch import nn

from zoo.core.specs import InputSpec
from zoo.errors import UsageError
from zoo.explaining.summary import summarise


def rows(model, expects=None):
    return {row.path: row for row in summarise(model, expects).rows}


def test_resnet18_has_the_operations_that_everybody_states():
    summary = summarise(torchvision.models.resnet18())
    assert summary.total.flops == 3_628_146_688  # 1.814 G multiply-adds
    assert summary.total.params == 11_689_512
    assert summary.line().startswith(
        "ResNet: 11,689,512 parameters, 11,689,512 of them trainable; 3.628"
    )
    table = {row.path: row for row in summary.table()}
    assert table["conv1"].shape == (1, 64, 112, 112)
    assert table["fc"].flops == 2 * 512 * 1000
    assert table["layer4.1.bn2"].flops == 0


def test_attention_is_counted():
    vit = torchvision.models.vision_transformer.VisionTransformer(32, 16, 2, 2, 32, 64)
    found = rows(vit, InputSpec(size=(3, 32, 32)))
    tokens, width, mlp = 5, 32, 64
    block = 2 * tokens * (4 * width * width + 2 * width * mlp) + 2 * 2 * tokens * tokens * width
    assert found["encoder.layers.encoder_layer_0"].flops == block
    assert found["encoder.layers"].flops == 2 * block
    assert found["encoder.layers.encoder_layer_0.self_attention.out_proj"].shape is None


def test_frozen_parts_are_told():
    model = torchvision.models.resnet18()
    model.layer1.requires_grad_(requires_grad=False)
    model.layer2[0].requires_grad_(requires_grad=False)
    found = rows(model)
    told = {path: found[path].frozen for path in ("layer1", "layer2", "layer3", "relu", "")}
    assert told == {"layer1": "yes", "layer2": "part", "layer3": "no", "relu": "", "": "part"}


def test_a_depth_shows_containers_and_no_depth_shows_layers():
    summary = summarise(torchvision.models.resnet18())
    assert [row.path for row in summary.table(1)][:5] == [
        "conv1",
        "bn1",
        "relu",
        "maxpool",
        "layer1",
    ]
    assert all(row.leaf for row in summary.table())
    assert sum(row.params for row in summary.table()) == summary.total.params


def test_the_model_stays_as_it_is():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout()).train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    summarise(model, InputSpec(size=(3, 8, 8)))
    assert all(module.training for module in model.modules())
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    assert not any(module._forward_hooks for module in model.modules())


def test_a_shared_layer_counts_its_work_twice_and_its_parameters_once():
    class Shared(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(12, 12)

        def forward(self, x):
            return self.layer(self.layer(x.flatten(1)))

    found = rows(Shared(), InputSpec(size=(3, 2, 2)))
    assert found["layer"].flops == 2 * (2 * 12 * 12)
    assert found[""].params == 156


def test_a_model_that_needs_values_runs_where_it_is():
    class Choosy(nn.Module):
        def __init__(self):
            super().__init__()
            self.layer = nn.Linear(12, 3)

        def forward(self, x):
            return self.layer(x.flatten(1)) * (2 if float(x.sum()) > 0 else 1)

    assert rows(Choosy(), InputSpec(size=(3, 2, 2)))[""].flops == 2 * 12 * 3


def test_an_input_that_does_not_fit_is_a_usage_error():
    with pytest.raises(UsageError, match="does not run on an image of"):
        summarise(nn.Linear(5, 2), InputSpec(size=(3, 8, 8)))
