"""zoo.report.sheet: pictures of a preview where they belong, and text beside them."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from PIL import Image

from zoo.engine.preview import Preview, Shown
from zoo.errors import DataError
from zoo.report.sheet import draw

EPOCHS = tuple(f"epoch {n}" for n in range(1, 7))


def made(evaluation, training, *, rows=2, channels=3, name="cat", notes=()):
    """A preview whose pictures are each of one colour."""
    found = []
    for row in range(rows):
        views = [
            torch.full((channels, *size), 10 + 30 * row + 3 * column, dtype=torch.uint8)
            for column, size in enumerate([evaluation, *[training] * 6])
        ]
        if channels == 3:  # no text is red
            views = [
                view * torch.tensor([1, 0, 0], dtype=torch.uint8)[:, None, None] for view in views
            ]
        key = f"{name}/{row}.jpg"
        found.append(Shown(name=name, key=key, evaluation=views[0], training=tuple(views[1:])))
    return Preview(title="x on y", epochs=EPOCHS, rows=tuple(found), notes=tuple(notes))


def boxes(sheet, *colour):
    """Where a colour lies: left, top, width, height."""
    there = (np.asarray(sheet) == np.array(colour)).all(-1)
    rows, columns = there.any(1).nonzero()[0], there.any(0).nonzero()[0]
    left, top, wide, high = columns[0], rows[0], len(columns), len(rows)
    assert there[top : top + high, left : left + wide].all()
    return left, top, wide, high


def test_every_picture_is_drawn_to_the_pixel_in_its_place():
    sheet = draw(made((224, 224), (192, 192)))
    assert sheet.getpixel((0, 0)) == (255, 255, 255)
    tops, lefts = set(), []
    for row in range(2):
        for column in range(7):
            left, top, wide, high = boxes(sheet, 10 + 30 * row + 3 * column, 0, 0)
            assert (wide, high) == ((224, 224) if column == 0 else (192, 192))
            tops.add((row, top))
            lefts.append(left)
    assert len(tops) == 2
    assert lefts[:7] == lefts[7:]
    assert {right - left for left, right in pairwise(lefts[1:7])} == {192 + 8}
    assert lefts[1] - lefts[0] == 224 + 24
    assert lefts[6] + 192 + 24 == sheet.width


@pytest.mark.parametrize(
    ("side", "drawn"),
    [(28, 140), (32, 128), (64, 128), (128, 128), (224, 224), (256, 256), (512, 256)],
)
def test_small_pictures_are_enlarged_and_large_ones_reduced(side, drawn):
    assert boxes(draw(made((side, side), (side, side))), 10, 0, 0)[2:] == (drawn, drawn)


def test_tall_wide_and_grey():
    sheet = draw(made((40, 120), (40, 120), channels=1))
    assert boxes(sheet, 10, 10, 10)[2:] == (120, 40)
    assert sheet.mode == "RGB"
    clear = made((64, 64), (64, 64), channels=4)
    assert draw(clear).size == draw(made((64, 64), (64, 64))).size
    with pytest.raises(DataError, match="6 channels are no pictures"):
        draw(made((64, 64), (64, 64), channels=6))


def test_labels_fit_however_long_they_are():
    short, long = (draw(made((64, 64), (64, 64), name=n)) for n in ("cat", "c" * 900))
    assert short.width < long.width < short.width + 200
    assert draw(made((64, 64), (64, 64), name="a\nb\t\x1b猫")).size[1] == short.height
    assert draw(made((64, 64), (64, 64), notes=["one", "two " * 400])).height == short.height + 38


def test_it_is_a_picture_of_pillow():
    assert isinstance(draw(made((32, 32), (32, 32), rows=1)), Image.Image)
