"""zoo.engine.lettering: words on pictures."""

import pytest
from PIL import Image, ImageDraw, ImageFont

from zoo.engine import lettering
from zoo.engine.lettering import fitted, font, length, plain


@pytest.fixture
def bitmap(monkeypatch):
    """A Pillow without FreeType: one font, one size, Latin letters."""

    def without(points=None):
        if points is not None:
            raise ImportError("The _imagingft C module is not installed")
        return ImageFont.load_default_imagefont()

    font.cache_clear()
    monkeypatch.setattr(lettering.ImageFont, "load_default", without)
    yield
    font.cache_clear()


def test_a_text_that_fits_stays():
    assert fitted("cat", 14, 200) == "cat"
    assert fitted("", 14, 0) == ""


@pytest.mark.parametrize("width", [40, 100, 333])
def test_a_longer_one_ends_in_dots_as_late_as_it_can(width):
    text = "a rather long name of a class " * 20
    shown = fitted(text, 14, width)
    assert shown.endswith("...")
    assert text.startswith(shown[:-3])
    assert length(shown, 14) <= width
    assert length(text[: len(shown) - 2] + "...", 14) > width


def test_where_nothing_fits_there_is_nothing():
    assert fitted("cat", 14, 3) == ""


def test_what_cannot_be_drawn_is_a_question_mark():
    assert plain("a\nb\x1b[31m\udcff猫", 14) == "a?b?[31m?猫"


def test_larger_letters_are_wider():
    assert length("cat", 28) > 1.5 * length("cat", 14)


@pytest.mark.usefixtures("bitmap")
def test_a_pillow_without_freetype_draws_what_it_can():
    assert isinstance(font(20), ImageFont.ImageFont)
    assert plain("猫 cat é", 20) == "? cat é"
    shown = fitted("狗" * 500, 20, 100)
    assert 0 < length(shown, 20) <= 100
    pen = ImageDraw.Draw(Image.new("RGB", (120, 30)))
    pen.text((0, 0), shown, "white", font(20))
