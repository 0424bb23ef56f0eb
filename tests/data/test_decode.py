import io
import struct
import subprocess
import sys
import zlib

import numpy as np
import pytest
import torch
from pictures import encode, jpeg, picture, pixels, png, put
from PIL import Image

from zoo.data import decode
from zoo.data.decode import decode_checked, from_item, from_pillow, read_image, with_channels
from zoo.data.headers import Damage
from zoo.errors import DataError


def tensor(image):
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def test_jpeg_is_equal_to_pillow_with_and_without_the_operator(tmp_path, monkeypatch):
    path = str(put(tmp_path / "a.jpg", jpeg(1, height=61, width=43)))
    truth = tensor(Image.open(path))
    assert torch.equal(read_image(path), truth)
    monkeypatch.setattr(decode, "fast_jpeg", lambda: None)
    assert torch.equal(read_image(path), truth)


def test_the_operator_comes_without_torchvision_and_is_the_same_one(tmp_path):
    path = put(tmp_path / "a.jpg", jpeg(1, height=61, width=43))
    probe = (
        "import sys, torch; from zoo.data.decode import fast_jpeg, read_image; "
        f"image = read_image({str(path)!r}); "
        "assert fast_jpeg() is not None, 'Pillow did it'; "
        "assert 'torchvision' not in sys.modules; assert 'torch._dynamo' not in sys.modules; "
        "import torchvision; from torchvision.io import read_file; "
        f"again = torch.ops.image.decode_jpeg(read_file({str(path)!r}), 3, True); "
        "assert torch.equal(image, again); print('same')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", probe], capture_output=True, text=True, check=False
    )
    assert done.stdout == "same\n", done.stderr


def test_where_the_library_is_not_found_torchvision_is_imported(monkeypatch, tmp_path):
    assert decode.find_library([str(tmp_path)]) is None
    monkeypatch.setattr(decode, "find_library", lambda _folders: str(tmp_path / "gone.so"))
    monkeypatch.delitem(sys.modules, "torchvision", raising=False)
    decode.fast_jpeg.cache_clear()
    try:
        assert decode.fast_jpeg() is not None
    finally:
        decode.fast_jpeg.cache_clear()


@pytest.mark.parametrize("fast", [True, False])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientations_are_pillows(orientation, fast, monkeypatch):
    if not fast:
        monkeypatch.setattr(decode, "fast_jpeg", lambda: None)
    exif = Image.Exif()
    exif[0x112] = orientation
    data = encode(picture(2), "JPEG", exif=exif, quality=95)
    from PIL import ImageOps

    truth = tensor(ImageOps.exif_transpose(Image.open(io.BytesIO(data))))
    assert torch.equal(decode.decode(bytearray(data)), truth)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
@pytest.mark.parametrize(
    "mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr", "HSV", "LAB"]
)
def test_every_mode_gives_every_number_of_channels(mode, channels):
    image = picture(3)
    source = image if mode == "RGB" else image.convert("L" if mode == "LA" else mode)
    source = source.convert("LA") if mode == "LA" else source
    assert from_pillow(source, channels).shape == (channels, 24, 32)


def test_more_channels_than_four_are_refused():
    with pytest.raises(DataError, match="the model wants 6"):
        with_channels(torch.zeros(3, 4, 4, dtype=torch.uint8), 6)


def test_alpha_is_kept_where_it_is_wanted_and_laid_over_white_where_not():
    plane = torch.tensor([[[100]], [[0]]], dtype=torch.uint8).expand(2, 3, 3)
    assert with_channels(plane, 1).unique().tolist() == [255]
    assert with_channels(plane, 4)[:3].unique().tolist() == [100]
    assert with_channels(plane, 4)[3].unique().tolist() == [0]
    opaque = with_channels(torch.full((1, 2, 2), 9, dtype=torch.uint8), 4)
    assert opaque[:, 0, 0].tolist() == [9, 9, 9, 255]


def test_grey_is_the_usual_luma():
    grey = with_channels(tensor(picture(4)), 1)[0].numpy().astype(int)
    assert np.abs(grey - np.asarray(picture(4).convert("L"), int)).max() <= 1


@pytest.mark.parametrize(
    "value",
    [
        picture(5),
        pixels(5),
        tensor(picture(5)),
        tensor(picture(5)).float() / 255,
        tensor(picture(5)).to(torch.int64),
        (pixels(5).astype(np.uint16) * 257),
    ],
)
def test_items_of_every_type(value):
    assert torch.equal(from_item(value), tensor(picture(5)))


def test_items_without_a_channel_axis_and_truth_values():
    assert from_item(pixels(5)[..., 0]).shape == (3, 24, 32)
    assert from_item(np.eye(4, dtype=bool), 1).unique().tolist() == [0, 255]


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ("text", "must be a Pillow image"),
        (torch.zeros(2, 3, 4, 4), "is not \\(C, H, W\\)"),
        (torch.zeros(7, 4, 4), "1 to 4 channels"),
        (torch.full((3, 4, 4), -1.0), "from -1 to -1"),
        (torch.full((3, 4, 4), 300), "from 300 to 300"),
        (Image.new("F", (3, 3)), "no stated range"),
    ],
)
def test_items_that_would_be_misread_are_refused(value, words):
    with pytest.raises(DataError, match=words):
        from_item(value)


@pytest.mark.parametrize("data", [jpeg()[:200], png()[:200], b"nothing"])
def test_damage_names_the_file(data, tmp_path):
    path = put(tmp_path / "odd name.jpg", data)
    with pytest.raises(DataError, match=r"odd name.jpg': cannot be decoded"):
        read_image(str(path))
    with pytest.raises(DataError, match=r"cannot read '.*gone': no such file"):
        read_image(str(tmp_path / "gone"))


def test_a_png_that_kills_torchvisions_reader_only_raises():
    whole = png(6, height=200, width=200)
    for place in range(60, len(whole) - 20, len(whole) // 20):
        data = bytearray(whole)
        data[place] ^= 1
        with pytest.raises(DataError, match="checksum"):
            decode.decode(data)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def half_a_png():
    """A PNG with right checksums whose stream of pixels breaks off in the middle."""
    rows = b"".join(b"\0" + bytes((7 * y + x * x) % 251 for x in range(3 * 64)) for y in range(64))
    packed = bytearray(zlib.compress(rows))
    packed[len(packed) // 2] ^= 0x55
    head = struct.pack(">IIBBBBB", 64, 64, 8, 2, 0, 0, 0)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", bytes(packed)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + parts


def half_a_tiff():
    data = bytearray(encode(picture(6, height=200, width=200), "TIFF", compression="tiff_lzw"))
    data[100:-600] = b"\xff" * (len(data) - 700)
    return bytes(data)


@pytest.mark.parametrize("data", [half_a_png(), half_a_tiff()], ids=["png", "tiff"])
def test_half_decoded_pixels_are_an_error_not_black(data, tmp_path):
    with pytest.raises(DataError, match="half': cannot be decoded"):
        read_image(str(put(tmp_path / "half", data)))


def test_a_data_sets_half_decoded_picture_stays_an_error():
    given = Image.open(io.BytesIO(half_a_png()))
    for _ in range(2):  # asked again, Pillow would give what it has
        with pytest.raises((OSError, ValueError)):
            from_item(given)


def test_a_damaged_exif_block_costs_no_picture(tmp_path):
    data = encode(picture(6), "PNG", exif=b"Exif\0\0II*\0\xff\xff\xff\xff")
    assert torch.equal(read_image(str(put(tmp_path / "a.png", data))), tensor(picture(6)))


def test_bytes_that_nobody_has_looked_at_are_checked_first(tmp_path):
    for data in (jpeg(3), png(4)):
        path = put(tmp_path / "a", data)
        assert torch.equal(decode_checked(data), read_image(str(path)))
    with pytest.raises(Damage, match="768 pixels, more than the limit of 700"):
        decode_checked(jpeg(), 3, 700)
    with pytest.raises(Damage, match="truncated"):
        decode_checked(jpeg()[:-40])
