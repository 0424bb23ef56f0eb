import subprocess
import sys

import pytest
import torch
from torchvision.transforms import v2
from torchvision.transforms.v2 import functional
from torchvision.transforms.v2.functional import _geometry

from zoo.builtin import pixels

SHAPES = [(3, 60, 80), (1, 8, 8), (3, 1, 1), (3, 1, 300), (2, 300, 2), (5, 3, 31, 40), (1, 4, 9, 9)]


def image(*shape):
    generator = torch.Generator().manual_seed(sum(shape))
    return torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(32, 48), (7, 7), (224, 224), (1, 2)])
def test_resizing_gives_torchvisions_pixels(interpolation, shape, size):
    given, mode = image(*shape), v2.InterpolationMode(interpolation)
    theirs = functional.resize(given, list(size), mode, antialias=interpolation != "nearest")
    assert torch.equal(pixels.resize(given, *size, interpolation), theirs)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_pixels_whose_channels_lie_last_stay_so(interpolation):
    given = image(61, 43, 3).permute(2, 0, 1)  # as decoders give them
    mode = v2.InterpolationMode(interpolation)
    theirs = functional.resize(given, [32, 20], mode, antialias=True)
    ours = pixels.resize(given, 32, 20, interpolation)
    assert torch.equal(ours, theirs)
    assert ours.stride() == theirs.stride()


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_processor_without_vectors_resizes_floats_as_torchvision_does(interpolation, monkeypatch):
    given = torch.tensor([[[0, 255], [255, 0]]], dtype=torch.uint8)  # bicubic overshoots
    monkeypatch.setattr(pixels, "_in_bytes", lambda _interpolation: False)
    monkeypatch.setattr(_geometry, "_do_native_uint8_resize_on_cpu", lambda _interpolation: False)
    ours = pixels.resize(given, 9, 9, interpolation)
    mode = v2.InterpolationMode(interpolation)
    assert ours.dtype == torch.uint8
    assert torch.equal(ours, functional.resize(given, [9, 9], mode, antialias=True))


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(1, 1), (7, 8), (64, 33), (301, 301)])
def test_centres_are_torchvisions(shape, size):
    given = image(*shape)
    assert torch.equal(pixels.center_crop(given, *size), functional.center_crop(given, list(size)))


@pytest.mark.parametrize("mode", list(pixels.PADDING))
@pytest.mark.parametrize("shape", [(3, 9, 8), (2, 3, 9, 8)])
def test_padding_is_torchvisions(mode, shape):
    given, edges = image(*shape), [1, 2, 3, 4]
    fill = 0 if mode != "constant" else 114
    theirs = functional.pad(given, edges, fill=fill, padding_mode=mode)
    assert torch.equal(pixels.pad(given, edges, fill=fill, mode=mode), theirs)


def test_plain_transforms_need_no_torchvision():
    probe = (
        "import sys; from zoo.plugin import InputSpec; from zoo.builtin import transforms as t; "
        "import torch; image = torch.zeros(3, 60, 80, dtype=torch.uint8); "
        "spec = InputSpec(size=(3, 32, 32)); "
        "[kind(spec)(image) for kind in (t.CenterCrop, t.Squash, t.Letterbox, t.Standard, "
        "t.RandomCrop, t.Shift)]; "
        "assert 'torchvision' not in sys.modules; assert 'torch._dynamo' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", probe], check=True)


@pytest.mark.parametrize(("interpolation", "most"), [("bilinear", 1), ("bicubic", 4)])
@pytest.mark.parametrize("at_a_time", [6, 4, 1])
def test_parts_of_many_images_are_resized_as_each_would_be(
    interpolation, most, at_a_time, monkeypatch
):
    monkeypatch.setattr(pixels, "_MOST", at_a_time * 3 * 90 * 120)
    draw = torch.Generator().manual_seed(0)
    coarse = torch.rand(6, 3, 12, 16, generator=draw)
    smooth = torch.nn.functional.interpolate(coarse, size=(90, 120), mode="bilinear")
    images = (smooth * 255).to(torch.uint8)
    parts = torch.tensor(
        [[0, 0, 90, 120], [10, 20, 31, 33], [0, 0, 5, 7], [80, 110, 10, 10], [3, 0, 40, 30],
         [89, 0, 1, 120]]
    )  # fmt: skip
    turned = torch.tensor([False, True, False, True, False, True])
    found = pixels.resize_parts(images, parts, turned, 40, 30, interpolation)
    for image, (top, left, high, wide), flip, got in zip(
        images, parts.tolist(), turned.tolist(), found, strict=True
    ):
        part = pixels.resize(image[:, top : top + high, left : left + wide], 40, 30, interpolation)
        away = (got.int() - (part.flip(-1) if flip else part).int()).abs()
        assert int(away.max()) <= most
        assert float(away.float().mean()) < 0.3


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic", "nearest"])
@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_a_part_of_an_image_whose_channels_lie_last_is_resized_as_such(interpolation, channels):
    """It was resized as if each channel lay alone, in three times the time."""
    part = image(50, 70, channels).permute(2, 0, 1)[:, 5:45, 8:66]
    found = pixels.resize(part, 24, 31, interpolation)
    assert torch.equal(found, pixels.resize(part.contiguous(), 24, 31, interpolation))
    if channels == 3 and interpolation != "nearest":
        assert found.stride() == (1, 31 * 3, 3)
