"""zoo.report.style: readable in light and dark, and dependent on nothing."""

import re

import pytest

from zoo.report.style import DARK, LIGHT, stylesheet


def luminance(colour):
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("colours", [LIGHT, DARK])
@pytest.mark.parametrize("ground", ["page", "panel"])
def test_text_stands_out_from_its_ground(colours, ground):
    assert contrast(colours["text"], colours[ground]) >= 7
    assert contrast(colours["muted"], colours[ground]) >= 4.5
    assert contrast(colours["accent"], colours[ground]) >= 4.5
    assert contrast(colours["accent"], colours["on-accent"]) >= 4.5


def test_every_colour_that_is_used_is_defined():
    text = stylesheet()
    assert set(re.findall(r"var\(--([\w-]+)\)", text)) <= set(LIGHT)
    assert set(LIGHT) == set(DARK)
    assert text.count("{") == text.count("}")


def test_nothing_is_loaded_and_paper_is_white():
    text = stylesheet()
    assert not re.search(r"url\(|@import|@font-face|https?:|<", text)
    assert "@media screen and (prefers-color-scheme:dark)" in text
    assert "@media print" in text
