"""The picture: what was seen, and the heat over it."""

import io

import pytest
import torch
from PIL import Image

from zoo.explaining.picture import draw, overlay


def opened(data):
    picture = Image.open(io.BytesIO(data))
    picture.load()
    return picture


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize("side", [28, 96, 300])
def test_both_halves_show_the_image(channels, side):
    shown = torch.randint(0, 256, (channels, side, side + 3), dtype=torch.uint8)
    picture = opened(draw(shown, torch.rand(4, 4), left="a.png", right="90.0 %  cat"))
    assert picture.format == "PNG"
    assert picture.mode == "RGB"
    times = -(-280 // (side + 3))
    assert picture.width == 2 * times * (side + 3) + 30
    assert picture.height > times * side


def test_what_the_model_saw_is_there_to_the_bit():
    shown = torch.randint(0, 256, (3, 280, 280), dtype=torch.uint8)
    picture = opened(draw(shown, torch.zeros(2, 2), left="", right=""))
    left = picture.crop((10, picture.height - 290, 290, picture.height - 10))
    assert left.tobytes() == shown.permute(1, 2, 0).contiguous().numpy().tobytes()
    floats = opened(draw(shown / 255, torch.zeros(2, 2), left="", right=""))
    assert floats.tobytes() == picture.tobytes()


def test_colour_lies_where_it_is_hot():
    grey = torch.full((3, 64, 64), 128, dtype=torch.uint8)
    heat = torch.zeros(4, 4)
    heat[0, 3] = 7.0
    found = overlay(grey, heat).int()
    hot, cold = found[:, 0, 63], found[:, 63, 0]
    assert hot[0] > 200 > hot[2]  # yellow
    assert len(set(cold.tolist())) == 1  # grey
    assert torch.equal(found, overlay(grey, heat * 1000).int())


@pytest.mark.parametrize("value", [0.0, float("nan"), float("inf")])
def test_heat_that_says_nothing_is_cold(value):
    grey = torch.full((3, 8, 8), 100, dtype=torch.uint8)
    assert torch.equal(overlay(grey, torch.full((2, 2), value)), torch.full_like(grey, 80))


def test_any_name_can_be_written():
    shown = torch.zeros(3, 30, 30, dtype=torch.uint8)
    for text in ("x" * 500, "狗\udcff\n\x1b[31m", ""):
        assert opened(draw(shown, torch.rand(2, 2), left=text, right=text)).width == 630
