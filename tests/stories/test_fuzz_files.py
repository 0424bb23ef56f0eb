"""Images and checkpoints with any bytes: an answer in time, nothing dies, nothing is believed."""

from __future__ import annotations

import json
import shutil
import struct

import numpy as np
import pytest
from bad_inputs.case import Kitchen
from bad_inputs.larder import Larder
from fuzzing import altered, check, examples, mutated
from hypothesis import assume, given
from hypothesis import strategies as st
from pictures import encode, folder, jpeg, picture, png, put
from PIL import Image

from zoo.core.metadata import read_header
from zoo.data.decode import decode
from zoo.data.headers import Damage, inspect
from zoo.engine.saving import tensorfile
from zoo.errors import DataError

pytestmark = pytest.mark.timeout(300)
LIMIT = 100_000
"""Pixels: what is larger is refused by its header."""


def kinds():
    small = {"height": 12, "width": 10}
    plain = picture(1, **small)
    deep = Image.fromarray(np.arange(120, dtype=np.uint16).reshape(12, 10) * 500)
    moving = {"save_all": True, "append_images": [picture(2, **small)], "duration": 40}
    exif = Image.Exif()
    exif[0x112] = 6
    return {
        "jpeg": jpeg(1, **small),
        "jpeg-progressive": encode(plain, "JPEG", progressive=True, exif=exif),
        "jpeg-cmyk": encode(plain.convert("CMYK"), "JPEG"),
        "png": png(1, **small),
        "png-palette": encode(plain.convert("P"), "PNG", transparency=3),
        "png-deep": encode(deep, "PNG"),
        "apng": encode(plain, "PNG", **moving),
        "webp": encode(plain, "WEBP", lossless=True),
        "webp-lossy": encode(plain, "WEBP"),
        "gif": encode(plain, "GIF", **moving),
        "tiff": encode(plain, "TIFF"),
        "tiff-lzw": encode(plain, "TIFF", compression="tiff_lzw"),
        "bmp": encode(plain, "BMP"),
        "ppm": encode(plain, "PPM"),
        "tga": encode(plain, "TGA"),
        "jp2": encode(plain, "JPEG2000"),
    }


KINDS = kinds()


@pytest.mark.parametrize("kind", KINDS)
def test_a_damaged_image_is_refused_or_gives_pixels(kind):
    """The guard's word holds: what it takes for whole has the size that it said, or an error."""

    @examples(60)
    @given(mutated(KINDS[kind]))
    def attempt(data):
        try:
            header = inspect(data, max_pixels=LIMIT)
        except Damage as damage:
            assert str(damage).isprintable()  # noqa: PT017 - not what is expected, what may be
            return
        if header.pixels > LIMIT:
            return
        try:
            pixels = decode(bytearray(data), 3)
        except DataError:
            return
        assert sorted(pixels.shape[1:]) == sorted((header.height, header.width))

    attempt()


def refreshed(data: bytes) -> bytes:
    """A damaged PNG with right checksums, so that the damage reaches the decoder."""
    out, at = bytearray(data[:8]), 8
    while at + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, at)
        body = data[at + 4 : at + 8 + length]
        if len(body) < 4:
            break
        import zlib

        out += struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
        at += 12 + length
    return bytes(out)


@pytest.mark.parametrize("kind", ["png", "png-palette", "png-deep", "apng"])
def test_damage_behind_right_checksums(kind):
    @examples(60)
    @given(mutated(KINDS[kind]))
    def attempt(data):
        try:
            header = inspect(refreshed(data), max_pixels=LIMIT)
            if header.pixels <= LIMIT:
                decode(bytearray(refreshed(data)), 3)
        except (Damage, DataError):
            pass

    attempt()


@pytest.fixture(scope="module")
def larder(tmp_path_factory):
    return Larder(tmp_path_factory.mktemp("larder"))


@pytest.fixture(scope="module")
def kitchen(tmp_path_factory, larder):
    made = Kitchen(tmp_path_factory.mktemp("fuzz"), larder)
    folder(made.here / "set", each=1)
    return made


@examples(1)
@given(
    st.lists(
        st.sampled_from(sorted(KINDS)).flatmap(lambda k: mutated(KINDS[k])),
        min_size=120,
        max_size=150,
    )
)
def test_a_folder_of_damaged_images_in_a_process_of_its_own(tmp_path, images):
    """The doctor decodes what the guard lets through: if a decoder dies, so does the process."""
    made = Kitchen(tmp_path)
    made.env["ZOO_PLUGINS"] = ""
    shutil.rmtree(tmp_path / "set", ignore_errors=True)
    for number, data in enumerate(images):
        put(tmp_path / "set" / ("cat", "dog")[number % 2] / f"{number}.jpg", data)
    answer = made.zoo("doctor", "set", "--max-pixels", LIMIT, alone=True)
    check(answer, frozenset({3}))
    assert answer.out.count("problem: ") >= 40


@pytest.mark.slow
@examples(40)
@given(st.data())
def test_checkpoints_with_any_metadata(kitchen, data):
    """What a checkpoint says of itself is data; its digest is right, so only that is at fault."""
    path = kitchen.larder.run / "model.safetensors"
    info = json.loads(read_header(path).metadata["zoo"])
    made = json.dumps(data.draw(altered(info)))
    tensors, _ = tensorfile.read(path)
    tensorfile.write(kitchen.here / "w.safetensors", tensors, {"zoo": made})
    check(kitchen.zoo("predict", "w.safetensors", "set", "--device", "cpu"))


@examples(20)
@given(st.data())
def test_evaluating_checkpoints_with_any_metadata(kitchen, data):
    path = kitchen.larder.run / "model.safetensors"
    info = json.loads(read_header(path).metadata["zoo"])
    made = json.dumps(data.draw(altered({**info, "classes": ["cat", "dog", "emu"]})))
    tensors, _ = tensorfile.read(path)
    tensorfile.write(kitchen.here / "w.safetensors", tensors, {"zoo": made})
    check(kitchen.zoo("eval", "w.safetensors", "--data", "set", "--device", "cpu"))


@pytest.mark.slow
@examples(60)
@given(st.data())
def test_checkpoints_with_damaged_headers(kitchen, data):
    whole = (kitchen.larder.run / "model.safetensors").read_bytes()
    end = 8 + int.from_bytes(whole[:8], "little")
    head = data.draw(mutated(whole[:end]))
    assume(head != whole[:end])  # a piece put where it came from
    kitchen.write("w.safetensors", head + whole[end:])
    check(kitchen.zoo("predict", "w.safetensors", "set", "--device", "cpu"), frozenset({5}))


@pytest.mark.slow
@examples(20)
@given(st.data())
def test_states_with_any_content(kitchen, data):
    """A state whose digest is right and whose content makes no sense is refused, or gone past."""
    shutil.rmtree(kitchen.here / "runs", ignore_errors=True)
    run = kitchen.larder.copy_run(kitchen.here)
    for path in (run / "checkpoints").iterdir():
        metadata = dict(read_header(path).metadata)
        tensors, _ = tensorfile.read(path)
        which = data.draw(st.sampled_from(["state", "zoo"]))
        metadata[which] = json.dumps(data.draw(altered(json.loads(metadata[which]))))
        for key in ("sha256", "verify", "format"):
            metadata.pop(key, None)
        tensorfile.write(path, tensors, metadata)
    check(kitchen.zoo("resume", "one"))
