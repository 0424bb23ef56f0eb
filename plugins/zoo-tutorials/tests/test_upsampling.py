"""Three ways of enlarging: the size formula against torch, the result against the factor."""

from __future__ import annotations

import itertools

import pytest
import torch
from torch import nn

from zoo.plugin import UsageError
from zoo_tutorials.upsampling import Upsampler, enlarge, transposed_size

CASES = [
    case
    for case in itertools.product((3, 7), (1, 2, 3, 4), (1, 2, 3), (0, 1), (0, 1), (1, 2))
    # torch wants less output padding than stride or dilation, and something left to give
    if case[4] < max(case[2], case[5])
    and transposed_size(
        case[0], case[1], stride=case[2], padding=case[3], output_padding=case[4], dilation=case[5]
    )
    > 0
]


@pytest.mark.parametrize(("size", "kernel", "stride", "padding", "extra", "dilation"), CASES)
def test_the_size_formula_is_torchs(size, kernel, stride, padding, extra, dilation):
    layer = nn.ConvTranspose2d(1, 1, kernel, stride, padding, extra, dilation=dilation)
    expected = transposed_size(
        size, kernel, stride=stride, padding=padding, output_padding=extra, dilation=dilation
    )
    with torch.no_grad():
        assert layer(torch.zeros(1, 1, size, size)).shape[2:] == (expected, expected)


@pytest.mark.parametrize("how", ["transpose", "bilinear", "nearest", "shuffle"])
@pytest.mark.parametrize("scale", [2, 3])
def test_every_way_multiplies_both_sides(how, scale):
    assert enlarge(8, scale, how)(torch.zeros(2, 8, 5, 7)).shape == (2, 8, 5 * scale, 7 * scale)
    model = Upsampler(num_classes=1, scale=scale, how=how)
    assert model(torch.zeros(2, 3, 6, 4)).shape == (2, 1, 6 * scale, 4 * scale)


def test_pixel_shuffle_moves_channels_into_space():
    maps = torch.arange(4.0).view(1, 4, 1, 1)
    assert nn.PixelShuffle(2)(maps).tolist() == [[[[0, 1], [2, 3]]]]


def test_an_upsampler_learns_to_enlarge():
    torch.manual_seed(0)
    large = nn.functional.interpolate(torch.rand(16, 1, 4, 4), scale_factor=2, mode="bilinear")
    small = nn.functional.avg_pool2d(large, 2)
    model = Upsampler(num_classes=1, in_channels=1)
    optimizer = torch.optim.Adam(model.parameters(), lr=0.01)
    first = float("inf")
    for step in range(60):
        loss = (model(small) - large).square().mean()
        first = loss.item() if step == 0 else first
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < first / 10


def test_another_way_is_refused():
    with pytest.raises(UsageError, match="cubic"):
        enlarge(3, 2, "cubic")
