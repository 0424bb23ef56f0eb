"""Which outputs are maps of the image, told by their shapes."""

import pytest
import torch

from zoo.explaining.maps import Spatial, first_tensor, spatial

SQUARE = (224, 224)


@pytest.mark.parametrize(
    ("shape", "image", "found"),
    [
        ((2, 512, 7, 7), SQUARE, Spatial("NCHW", (7, 7))),
        ((2, 7, 7, 768), SQUARE, Spatial("NHWC", (7, 7))),
        ((2, 8, 8, 8), (64, 64), Spatial("NCHW", (8, 8))),  # both would do: the usual one
        ((2, 64, 4, 8), (128, 256), Spatial("NCHW", (4, 8))),
        ((2, 4, 8, 64), (128, 256), Spatial("NHWC", (4, 8))),
        ((2, 64, 8, 4), (256, 128), Spatial("NCHW", (8, 4))),
        ((2, 2048, 8, 11), (235, 341), Spatial("NCHW", (8, 11))),  # maps round
        ((2, 512, 1, 1), SQUARE, None),
        ((2, 12, 197, 64), SQUARE, None),  # heads of an attention
        ((2, 512), SQUARE, None),
        ((2, 197, 768), SQUARE, Spatial("NLC", (14, 14), 1)),
        ((2, 28, 64), (28, 28), None),  # rows, one after the other
        ((2, 1, 768), SQUARE, None),
    ],
)
def test_the_axes_follow_from_the_shape(shape, image, found):
    assert spatial(shape, image) == found


def test_tokens_before_the_patches_follow_from_the_grid_that_was_seen():
    for skip in (0, 1, 2, 5, 9):
        found = spatial((2, 37 * 37 + skip, 384), (518, 518), [(37, 37)])
        assert found == Spatial("NLC", (37, 37), skip)
    assert spatial((2, 50, 64), SQUARE, [(14, 14), (7, 7)]) == Spatial("NLC", (7, 7), 1)
    assert spatial((2, 16, 64), SQUARE, [(14, 14)]) == Spatial("NLC", (4, 4))  # a quarter of it
    assert spatial((2, 100, 64), SQUARE, [(14, 14)]) is None


def test_every_layout_gives_the_same_maps():
    maps = torch.randn(2, 5, 3, 4)
    tokens = torch.cat([torch.full((2, 2, 5), 9.0), maps.flatten(2).transpose(1, 2)], 1)
    assert torch.equal(Spatial("NCHW", (3, 4)).maps(maps), maps)
    assert torch.equal(Spatial("NHWC", (3, 4)).maps(maps.permute(0, 2, 3, 1)), maps)
    assert torch.equal(Spatial("NLC", (3, 4), 2).maps(tokens), maps)


def test_of_several_outputs_the_first_is_looked_at():
    one, other = torch.zeros(1), torch.ones(1)
    assert first_tensor(one) is one
    assert first_tensor((one, other)) is one
    assert first_tensor([None, one]) is None
    assert first_tensor(()) is None
    assert first_tensor({"a": one}) is None
