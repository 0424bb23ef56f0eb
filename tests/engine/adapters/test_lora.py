"""zoo.engine.adapters.lora: low-rank adapters of weights."""

import copy

import pytest
import torch
from torch import nn

from zoo.engine.adapters.lora import (
    LowRank,
    added,
    beside,
    inside_of,
    is_adapter,
    merged,
    weight_of,
)

LAYERS = {
    "linear": (lambda: nn.Linear(6, 5), (3, 4, 6)),
    "linear without bias": (lambda: nn.Linear(6, 5, bias=False), (3, 6)),
    "convolution": (lambda: nn.Conv2d(3, 5, 3, stride=2, padding=1), (2, 3, 9, 9)),
    "mirrored edges": (lambda: nn.Conv2d(3, 5, 3, padding=1, padding_mode="reflect"), (2, 3, 7, 7)),
    "holes": (lambda: nn.Conv2d(3, 5, 3, dilation=2, padding="same"), (2, 3, 9, 9)),
    "one place": (lambda: nn.Conv2d(4, 5, 1), (2, 4, 5, 5)),
}


def attached(layer, way, rank=2, scale=0.5):
    made = LowRank(layer.weight, rank, scale)
    beside(layer, made) if way is beside else inside_of(layer, "weight", made)
    return made


@pytest.mark.parametrize("way", [beside, inside_of])
@pytest.mark.parametrize("name", LAYERS)
def test_it_begins_with_nothing_and_gives_what_the_sum_of_weights_gives(name, way):
    make, shape = LAYERS[name]
    layer, x = make().double(), torch.randn(shape, dtype=torch.float64)
    plain, weight = layer(x), layer.weight.detach().clone()
    made = attached(layer, way)
    assert torch.equal(layer(x), plain)
    nn.init.normal_(made.lora_up)
    published = merged(layer.state_dict())
    change = 0.5 * (made.lora_up @ made.lora_down).detach()
    assert torch.equal(published["weight"], weight + change.view_as(weight))
    again = make().double()
    again.load_state_dict(published)  # strict: the names are those of a layer without adapters
    assert torch.allclose(layer(x), again(x), rtol=1e-12, atol=1e-12)
    assert not torch.allclose(layer(x), plain)


def test_the_gradient_of_the_whole_weight_is_not_asked_for_beside_a_layer():
    layer = nn.Linear(6, 5).requires_grad_(requires_grad=False)
    made = attached(layer, beside)
    layer(torch.randn(3, 6)).sum().backward()
    assert layer.weight.grad is None
    assert made.lora_up.grad.abs().sum() > 0
    assert not made.lora_down.grad.any()  # nothing yet: up is 0


def test_a_step_of_sgd_goes_along_the_gradient_of_the_whole_weight():
    """With up at 0, a step changes the weight by -lr * scale^2 * G @ down.T @ down."""
    layer, x, scale = nn.Linear(40, 30).double(), torch.randn(8, 40, dtype=torch.float64), 2.0
    whole = copy.deepcopy(layer)
    whole(x).square().sum().backward()
    made = attached(layer, beside, rank=4, scale=scale)
    before = merged(layer.state_dict())["weight"].clone()
    layer(x).square().sum().backward()
    torch.optim.SGD([made.lora_down, made.lora_up], lr=0.1).step()
    change = merged(layer.state_dict())["weight"] - before
    down = made.lora_down.detach()
    assert torch.allclose(change, -0.1 * scale**2 * whole.weight.grad @ down.T @ down)


def test_the_rank_is_at_most_what_the_weight_can_have():
    made = LowRank(torch.zeros(5, 2, 3, 3), 64, 1.0)
    assert (made.lora_down.shape, made.lora_up.shape) == ((5, 18), (5, 5))


def test_it_is_drawn_as_a_linear_layers_weight_is():
    made = LowRank(torch.zeros(50, 400), 50, 1.0, torch.Generator().manual_seed(3))
    again = LowRank(torch.zeros(50, 400), 50, 1.0, torch.Generator().manual_seed(3))
    assert torch.equal(made.lora_down, again.lora_down)
    limit = 1 / 400**0.5
    assert limit * 0.99 < made.lora_down.abs().max() <= limit
    assert abs(made.lora_down.mean()) < limit / 50


def test_attention_computes_with_the_sum():
    layer, x = nn.MultiheadAttention(8, 2, batch_first=True).double(), torch.randn(2, 5, 8).double()
    made = LowRank(layer.in_proj_weight, 3, 2.0)
    inside_of(layer, "in_proj_weight", made)
    out = LowRank(layer.out_proj.weight, 3, 2.0)
    inside_of(layer.out_proj, "weight", out)
    for matrices in (made, out):
        nn.init.normal_(matrices.lora_up)
    again = nn.MultiheadAttention(8, 2, batch_first=True).double()
    again.load_state_dict(merged(layer.state_dict()))
    for training in (True, False):
        for one in (layer, again):
            one.train(training)
        with torch.no_grad():  # where torch has a faster way through attention
            assert torch.allclose(layer(x, x, x)[0], again(x, x, x)[0], rtol=1e-12)
        assert torch.allclose(layer(x, x, x)[0], again(x, x, x)[0], rtol=1e-12)


@pytest.mark.parametrize("way", [beside, inside_of])
def test_a_copy_is_a_copy(way):
    layer = nn.Sequential(nn.Linear(6, 5))
    attached(layer[0], way)
    other = copy.deepcopy(layer)
    for name, parameter in layer.named_parameters():
        if is_adapter(name):
            nn.init.normal_(parameter)
    x = torch.randn(3, 6)
    assert torch.equal(
        other(x), nn.functional.linear(x, merged(other.state_dict())["0.weight"], layer[0].bias)
    )
    assert not torch.equal(other(x), layer(x))


def test_a_layer_may_be_called_by_name():
    layer, x = nn.Linear(6, 5), torch.randn(3, 6)
    nn.init.normal_(attached(layer, beside).lora_up)
    assert torch.equal(layer(input=x), layer(x))


def test_names_of_adapters_and_of_the_weights_that_they_are_for():
    layer = nn.Sequential(nn.Linear(6, 5), nn.Linear(5, 4))
    attached(layer[0], beside)
    attached(layer[1], inside_of)
    mine = [name for name, _ in layer.named_parameters() if is_adapter(name)]
    assert mine == [
        "0.lora.lora_down", "0.lora.lora_up", "1.parametrizations.weight.0.lora_down",
        "1.parametrizations.weight.0.lora_up",
    ]  # fmt: skip
    assert weight_of("a.0.lora") == ("a.0.weight", "a.0.weight")
    held = "a.attention.parametrizations.in_proj_weight"
    assert weight_of(f"{held}.0") == (f"{held}.original", "a.attention.in_proj_weight")


def test_a_state_without_adapters_stays_as_it_is():
    state = nn.Linear(3, 2).state_dict()
    assert merged(state) == dict(state)
    assert added(torch.ones(2, 3), torch.ones(1, 3), torch.ones(2, 1), torch.tensor(0.5)).sum() == 9
