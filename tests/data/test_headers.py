import random

import pytest
import torch
from pictures import encode, jpeg, picture, png
from PIL import Image

from zoo.data.decode import fast_jpeg
from zoo.data.headers import OVER, Damage, Header, inspect, is_image, too_large


@pytest.mark.parametrize(
    ("data", "wanted"),
    [
        (jpeg(), Header("jpeg", 32, 24, "rgb")),
        (encode(picture().convert("L")), Header("jpeg", 32, 24, "gray")),
        (encode(picture().convert("CMYK")), Header("jpeg", 32, 24, "cmyk")),
        (encode(picture(), progressive=True), Header("jpeg", 32, 24, "rgb")),
        (encode(picture(), subsampling=0, optimize=True), Header("jpeg", 32, 24, "rgb")),
        (png(), Header("png", 32, 24, "rgb")),
        (encode(picture().convert("P"), "PNG"), Header("png", 32, 24, "palette")),
        (encode(picture().convert("P"), "PNG", transparency=0), Header("png", 32, 24, "alpha")),
        (encode(picture().convert("1"), "PNG"), Header("png", 32, 24, "bilevel")),
        (encode(picture().convert("LA"), "PNG"), Header("png", 32, 24, "alpha")),
        (encode(Image.new("I;16", (9, 5)), "PNG"), Header("png", 9, 5, "gray16")),
        (encode(picture(), "WEBP"), Header("webp", 32, 24, "rgb")),
        (encode(picture(), "GIF"), Header("gif", 32, 24, "palette")),
        (encode(picture(), "BMP"), Header("bmp", 32, 24, "rgb")),
        (encode(picture(), "TIFF"), Header("tiff", 32, 24, "rgb")),
    ],
)
def test_headers_of_whole_files(data, wanted):
    assert inspect(data) == wanted
    assert is_image(data[:16]) or wanted.format == "bmp"


@pytest.mark.parametrize("form", ["PNG", "GIF", "WEBP"])
def test_animations_are_seen(form):
    data = encode(picture(1), form, save_all=True, append_images=[picture(2)], duration=9)
    assert inspect(data).animated


@pytest.mark.parametrize("make", [jpeg, png, lambda: encode(picture(), "WEBP")])
def test_every_truncation_is_seen(make):
    whole = make()
    inspect(whole)
    for length in [0, 1, 2, 3, 9, *range(20, len(whole), 37), len(whole) - 2]:
        with pytest.raises(Damage):
            inspect(whole[:length])


def test_bytes_behind_the_end_do_not_matter():
    for whole in (jpeg(), png()):
        assert inspect(whole + b"\xff\x00appended" * 50) == inspect(whole)


def test_every_flipped_bit_of_a_png_is_seen():
    whole = png()
    rng = random.Random(0)
    for _ in range(200):
        data = bytearray(whole)
        data[rng.randrange(len(data) - 4)] ^= 1 << rng.randrange(8)
        with pytest.raises(Damage):
            inspect(bytes(data))


@pytest.mark.parametrize("options", [{"quality": 90}, {"quality": 75, "progressive": True}])
def test_what_the_jpeg_decoder_refuses_is_nearly_always_refused_before(options, capfd):
    whole, rng = encode(picture(3, height=60, width=80), "JPEG", **options), random.Random(1)
    refused = seen = false_alarms = 0
    for _ in range(1500):
        data = bytearray(whole)
        data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
        try:
            inspect(bytes(data))
            damaged = False
        except Damage:
            damaged = True
        try:
            fast_jpeg()(torch.frombuffer(data, dtype=torch.uint8), 3, True)
            false_alarms += damaged
        except RuntimeError:
            refused += 1
            seen += damaged
    capfd.readouterr()
    assert refused > 30
    assert seen >= 0.95 * refused
    assert false_alarms < 0.02 * 1500


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"", "0 bytes"),
        (b"\0" * 400, "zero bytes"),
        (b"<html></html>", "HTML"),
        (b"\xef\xbb\xbf\n<?xml version='1.0'?><svg/>", "SVG"),
        (b"version https://git-lfs.github.com/spec/v1\n", "git-lfs"),
        (b"\0\0\0\x18ftypheic" + b"\0" * 20, "HEIC"),
        (b"hello", "no image"),
        (jpeg().replace(b"\xff\xc0", b"\xff\xc3", 1), "not read"),
        (encode(Image.new("F", (4, 4)), "TIFF"), "floating-point"),
        (encode(Image.new("I", (4, 4)), "TIFF"), "32-bit"),
    ],
)
def test_what_is_no_usable_image_says_why(data, words):
    with pytest.raises(Damage, match=words):
        inspect(data)


def test_random_bytes_never_raise_anything_else():
    rng = random.Random(2)
    starts = [
        b"",
        b"\xff\xd8",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\0\0\0\0WEBP",
        b"II*\0",
        b"BM",
    ]
    for _ in range(400):
        with pytest.raises(Damage):
            inspect(rng.choice(starts) + rng.randbytes(rng.randrange(200)))


def test_a_file_that_is_too_large_is_told_with_both_numbers():
    words = too_large(Header("png", 300, 200, "rgb"), 1000)
    assert words == "300 x 200 = 60,000 pixels, more than the limit of 1,000"
    assert OVER in words
