import colorsys

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.engine.judging import corruptions
from zoo.engine.judging.corruptions import CORRUPTIONS, STRENGTHS, possible

KINDS = [(name, strength) for name in CORRUPTIONS for strength in range(len(STRENGTHS))]


def pictures(n=3, channels=3, size=64, seed=0):
    """Smooth colours with an edge, as photos have them."""
    drawn = torch.Generator().manual_seed(seed)
    coarse = torch.rand(n, channels, 5, 5, generator=drawn)
    found = torch.nn.functional.interpolate(coarse, size=(size, size), mode="bicubic").clamp(0, 1)
    found[:, :, :, size // 2 :] *= 0.5
    return found.mul(255).to(torch.uint8)


@pytest.mark.parametrize(("name", "strength"), KINDS)
@pytest.mark.parametrize("shape", [(2, 3, 64, 64), (1, 3, 30, 47), (2, 1, 28, 28)], ids=str)
def test_images_stay_bytes_of_their_shape_and_change(name, strength, shape):
    n, channels, height, width = shape
    images = pictures(n, channels, 64)[:, :, :height, :width]
    before = images.clone()
    found = CORRUPTIONS[name](images, strength)
    assert (found.shape, found.dtype) == (images.shape, torch.uint8)
    assert not torch.equal(found, images)
    assert torch.equal(images, before)


@pytest.mark.parametrize("name", CORRUPTIONS)
def test_stronger_is_further_from_the_image(name):
    images = pictures(8)
    apart = [
        float((CORRUPTIONS[name](images, k).float() - images.float()).square().mean())
        for k in range(len(STRENGTHS))
    ]
    assert apart == sorted(apart)
    assert apart[-1] > 1.2 * apart[0]


@pytest.mark.parametrize(("name", "strength"), KINDS)
def test_an_image_is_spoilt_in_one_way_whatever_it_is_shown_beside(name, strength):
    images = pictures(4)
    torch.manual_seed(1)
    together = CORRUPTIONS[name](images, strength)
    torch.manual_seed(2)
    alone = torch.cat([CORRUPTIONS[name](image[None], strength) for image in images])
    assert int((together.int() - alone.int()).abs().max()) <= 1


def test_different_images_have_different_noise():
    first, second = pictures(2)
    grey = torch.stack([torch.full_like(first, 100), torch.full_like(second, 101)])
    one, other = corruptions.noise(grey, 1).int() - grey.int()
    assert not torch.equal(one, other)


@pytest.mark.parametrize(("strength", "scale"), [(0, 0.08), (1, 0.18), (2, 0.38)])
def test_noise_has_the_stated_width(strength, scale):
    grey = torch.full((1, 3, 200, 200), 128, dtype=torch.uint8)
    inner = corruptions.noise(grey, strength).float() / 255 - 128 / 255
    clear = inner.abs() < 0.49  # what was not cut off at black or white
    wanted = torch.randn(400_000, generator=torch.Generator().manual_seed(0)) * scale
    assert float(inner[clear].std()) == pytest.approx(
        float(wanted[wanted.abs() < 0.49].std()), rel=0.02
    )


def test_brightness_raises_the_value_of_a_colour_alone():
    images = pictures(1, size=16)
    found = corruptions.brightness(images, 1)
    for y, x in ((0, 0), (3, 9), (12, 5), (15, 15)):
        hue, saturation, value = colorsys.rgb_to_hsv(*(images[0, :, y, x] / 255).tolist())
        wanted = colorsys.hsv_to_rgb(hue, saturation, min(1.0, value + 0.3))
        assert (found[0, :, y, x] / 255).tolist() == pytest.approx(wanted, abs=0.004)
    black = torch.zeros(1, 3, 4, 4, dtype=torch.uint8)
    assert corruptions.brightness(black, 0).unique().tolist() == [26]


def test_contrast_shrinks_the_distance_from_the_mean():
    images = pictures(2)
    found = corruptions.contrast(images, 1).float()
    centre = images.float().mean((2, 3), keepdim=True)
    assert float((found - (centre + 0.2 * (images.float() - centre))).abs().max()) <= 0.51


def test_blur_of_a_dot_is_a_bell_as_wide_as_the_size_says():
    dot = torch.zeros(1, 1, 225, 225, dtype=torch.uint8)
    dot[0, 0, 112 - 8 : 112 + 9, 112 - 8 : 112 + 9] = 255
    found = corruptions.blur(dot, 1).double()[0, 0]
    axis = torch.arange(225.0).double() - 112
    spread = float((found.sum(0) * axis**2).sum() / found.sum()) ** 0.5
    own = float((torch.arange(-8, 9).double() ** 2).mean()) ** 0.5
    assert spread == pytest.approx((own**2 + 3.0**2) ** 0.5, rel=0.02)
    flat = torch.full((1, 3, 40, 40), 77, dtype=torch.uint8)
    assert torch.equal(corruptions.blur(flat, 2), flat)


def test_pixels_become_blocks_of_their_mean():
    images = pictures(1, size=64)
    found = corruptions.pixelate(images, 2)
    blocks = images.float().view(1, 3, 16, 4, 16, 4).mean((3, 5))
    assert float((found[:, :, ::4, ::4].float() - blocks).abs().max()) <= 0.51
    assert torch.equal(found[:, :, ::4], found[:, :, 3::4])


def test_jpeg_is_what_a_file_of_that_quality_gives(tmp_path):
    images = pictures(1)
    path = tmp_path / "x.jpg"
    Image.fromarray(images[0].permute(1, 2, 0).numpy()).save(path, quality=15)
    theirs = torch.from_numpy(np.array(Image.open(path))).permute(2, 0, 1)
    assert torch.equal(corruptions.jpeg(images, 1)[0], theirs)


@pytest.mark.parametrize(
    ("channels", "has"), [(1, True), (2, True), (3, True), (4, True), (5, False)]
)
def test_what_is_no_grey_or_colour_is_not_compressed(channels, has):
    ways = possible(channels)
    assert ("jpeg" in ways) == has
    images = pictures(1, channels)
    assert all(way(images, 0).shape == images.shape for way in ways.values())


@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize(("name", "strength"), KINDS)
def test_how_opaque_a_pixel_is_is_neither_spoilt_nor_a_colour(name, strength, colours):
    images = pictures(2, colours)
    alpha = torch.full((2, 1, 64, 64), 255, dtype=torch.uint8)
    alpha[:, :, 10:20] = 90
    found = possible(colours + 1)[name](torch.cat([images, alpha], 1), strength)
    assert torch.equal(found[:, :-1], CORRUPTIONS[name](images, strength))
    assert torch.equal(found[:, -1:], alpha)
