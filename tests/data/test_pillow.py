import warnings

import pytest
from pictures import encode, picture, png, put
from PIL import Image

from zoo.core.recipe import MAX_PIXELS
from zoo.data.decode import read_image
from zoo.data.images import FileReader
from zoo.data.pillow import allow, any_number_of_pixels, is_deep
from zoo.errors import DataError


@pytest.fixture(autouse=True)
def own_limit(monkeypatch):
    """Pillow warns above 300 pixels and fails above 600; a picture has 768."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 300)


def test_a_limit_that_was_asked_for_holds_when_pixels_are_read(tmp_path):
    path = str(put(tmp_path / "a.png", png(1)))
    with pytest.raises(DataError, match="exceeds limit of 600 pixels"):
        read_image(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert FileReader((path,), 3, MAX_PIXELS + 1).read(0).shape == (3, 24, 32)


def test_pillows_limit_is_raised_and_never_lowered(monkeypatch):
    allow(1000)
    assert Image.MAX_IMAGE_PIXELS == 1000
    allow(10)
    assert Image.MAX_IMAGE_PIXELS == 1000
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    allow(10)
    assert Image.MAX_IMAGE_PIXELS is None


def test_headers_are_read_whatever_the_size_and_the_limit_is_put_back():
    with any_number_of_pixels():
        assert Image.MAX_IMAGE_PIXELS is None
    assert Image.MAX_IMAGE_PIXELS == 300
    with pytest.raises(ZeroDivisionError), any_number_of_pixels():
        raise ZeroDivisionError
    assert Image.MAX_IMAGE_PIXELS == 300


@pytest.mark.parametrize(("mode", "form", "deep"), [("I;16", "", True), ("I", "", False)])
def test_pixels_of_32_bits_are_deep_in_no_format_alone(mode, form, deep):
    assert is_deep(Image.new(mode, (2, 2))) is deep


def test_a_ppm_states_its_range(tmp_path):
    with Image.open(put(tmp_path / "a.pgm", b"P5 2 1 1023 \x00\x00\x03\xff")) as found:
        assert is_deep(found)
    assert read_image(str(tmp_path / "a.pgm"), 1).flatten().tolist() == [0, 255]
    eight = put(tmp_path / "b.pgm", encode(picture(3, height=4, width=4).convert("L"), "PPM"))
    assert read_image(str(eight), 1).shape == (1, 4, 4)
