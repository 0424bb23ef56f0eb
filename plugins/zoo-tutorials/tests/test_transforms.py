"""Random crops with padding: the size of the input, the right fill, every window reachable."""

from __future__ import annotations

import pytest
import torch

from zoo.plugin import InputSpec
from zoo_tutorials.transforms import padded_crop

INPUT = InputSpec(size=(3, 16, 12))


@pytest.mark.parametrize("mode", ["constant", "edge", "reflect", "symmetric"])
def test_the_output_has_the_size_of_the_input_spec(mode):
    transform = padded_crop(INPUT, mode=mode)
    out = transform(torch.zeros(3, 40, 30, dtype=torch.uint8))
    assert (out.shape, out.dtype) == ((3, 16, 12), torch.uint8)


def test_added_pixels_have_the_fill_and_edges_repeat_the_border():
    image = torch.full((1, 16, 12), 100, dtype=torch.uint8)
    spec = InputSpec(size=(1, 16, 12))
    torch.manual_seed(0)
    filled = {int(v) for _ in range(20) for v in padded_crop(spec, fill=7)(image).unique()}
    repeated = {int(v) for _ in range(20) for v in padded_crop(spec, mode="edge")(image).unique()}
    assert filled == {7, 100}
    assert repeated == {100}


def test_every_shift_within_the_padding_occurs():
    image = torch.zeros(1, 16, 12, dtype=torch.uint8)
    image[0, 8, 6] = 255
    transform = padded_crop(InputSpec(size=(1, 16, 12)), padding=1)
    torch.manual_seed(0)
    places = {tuple(transform(image)[0].nonzero()[0].tolist()) for _ in range(200)}
    assert places == {(y, x) for y in (7, 8, 9) for x in (5, 6, 7)}


def test_mirroring_is_off_unless_asked_for():
    image = torch.arange(12, dtype=torch.uint8).repeat(1, 16, 1)
    plain = padded_crop(INPUT, padding=0)
    assert all(torch.equal(plain(image), image) for _ in range(10))
    torch.manual_seed(0)
    mirrored = padded_crop(INPUT, padding=0, flip=True)
    assert {int(mirrored(image)[0, 0, 0]) for _ in range(20)} == {0, 11}


@pytest.mark.parametrize(
    ("padding", "left", "above"), [(2, 2, 2), ([0, 3], 0, 3), ([4, 0, 0, 0], 4, 0)]
)
def test_each_edge_can_have_its_own_padding(padding, left, above):
    """The bright corner moves right by what is added left of it, and down by what is added above."""
    image = torch.zeros(1, 16, 12, dtype=torch.uint8)
    image[0, 0, 0] = 255
    spec = InputSpec(size=(1, 16, 12))
    torch.manual_seed(0)
    found = [padded_crop(spec, padding=padding)(image)[0].nonzero().tolist() for _ in range(200)]
    corners = [tuple(place[0]) for place in found if place]
    assert max(column for _, column in corners) == left
    assert max(row for row, _ in corners) == above
