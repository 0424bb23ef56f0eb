"""zoo.report.thumbnails: small pictures inside the page."""

import base64
import io

import pytest
import torch
from judged import Pictures
from PIL import Image

from zoo.data.images import ImageSet
from zoo.errors import DataError
from zoo.report.thumbnails import EDGE, encode, thumbnail


def opened(small):
    head, _, text = small.source.partition(",")
    picture = Image.open(io.BytesIO(base64.b64decode(text)))
    return head, picture


def test_large_images_are_reduced_proportions_kept():
    head, picture = opened(encode(torch.full((3, 300, 1200), 90, dtype=torch.uint8)))
    assert head == "data:image/jpeg;base64"
    assert picture.size == (EDGE, 56)
    assert abs(picture.getpixel((50, 20))[0] - 90) <= 2
    assert opened(encode(torch.zeros(1, 5000, 3, dtype=torch.uint8)))[1].size == (1, EDGE)


def test_tiny_images_are_kept_to_the_bit():
    image = torch.arange(64, dtype=torch.uint8).view(1, 8, 8)
    small = encode(image)
    head, picture = opened(small)
    assert (head, small.tiny, picture.mode) == ("data:image/png;base64", True, "L")
    assert picture.tobytes() == bytes(range(64))
    colours = torch.randint(0, 256, (3, 5, 7), dtype=torch.uint8)
    _, picture = opened(encode(colours))
    assert picture.getpixel((6, 2)) == tuple(colours[:, 2, 6].tolist())


@pytest.mark.parametrize(("channels", "mode"), [(2, "RGB"), (4, "RGB")])
def test_transparency_is_laid_over_white(channels, mode):
    _, picture = opened(encode(torch.zeros(channels, 4, 4, dtype=torch.uint8)))
    assert picture.mode == mode
    assert picture.getpixel((0, 0)) == (255, 255, 255)


def test_what_is_no_picture():
    with pytest.raises(DataError, match="5 channels"):
        encode(torch.zeros(5, 4, 4, dtype=torch.uint8))
    images = ImageSet("x", ("a",), [0] * 5, [str(k) for k in range(5)], Pictures())
    assert thumbnail(images, 3) is None
    assert thumbnail(images, 4) is not None
