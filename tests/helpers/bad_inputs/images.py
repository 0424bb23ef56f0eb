"""1 to 26: image files."""

from __future__ import annotations

from io import BytesIO

import numpy as np
from bad_inputs.case import LENET, SMALL, Answer, Case, Kitchen
from pictures import encode, folder, jpeg, picture, pixels, png, put
from PIL import Image

SKIP = "--on-bad-image skip"
TRAIN = ("train", LENET, "--data", "set", *SMALL)
DOCTOR = ("doctor", "set")


def flipped(data: bytes, at: int) -> bytes:
    changed = bytearray(data)
    changed[at] ^= 0x10
    return bytes(changed)


def damaged(name: str, data: bytes):
    """A good folder with one bad file in it, to train on."""

    def make(kitchen: Kitchen):
        put(folder(kitchen.here / "set") / "cat" / name, data)
        return TRAIN

    return make


def sound(name: str, data: bytes):
    """A folder of nothing else, examined: every file is decoded."""

    def make(kitchen: Kitchen):
        for split in ("train", "val"):
            for label in ("cat", "dog"):
                put(kitchen.here / "set" / split / label / name, data)
        return DOCTOR

    return make


def refused(number: int, has: str, name: str, data: bytes, *words: str) -> Case:
    said = ("1 of 9 files cannot be used", f"'cat/{name}'", *words, SKIP)
    return Case(number, has, damaged(name, data), 3, said, after=nothing_was_made)


def fine(number: int, has: str, name: str, data: bytes, *words: str, **more) -> Case:
    return Case(number, has, sound(name, data), 0, ("fit to train on", *words), **more)


def nothing_was_made(kitchen: Kitchen, answer: Answer) -> None:
    del answer
    assert not (kitchen.here / "runs").exists(), "a run folder was made"


def deep() -> bytes:
    return encode(Image.fromarray(pixels(6)[..., 0].astype(np.uint16) * 257), "PNG")


def scaled(kitchen: Kitchen, answer: Answer) -> None:
    from zoo.data.decode import read_image

    shown = read_image(str(kitchen.here / "set/train/cat/a.png"))[0].numpy()
    assert np.array_equal(shown, pixels(6)[..., 0]), "16 bits were not scaled"


def turned(kitchen: Kitchen, answer: Answer) -> None:
    from zoo.data.decode import read_image

    shape = tuple(read_image(str(kitchen.here / "set/train/cat/a.jpg")).shape)
    assert shape == (3, 32, 24), f"not turned: {shape}"


def animated(form: str) -> bytes:
    options = {"save_all": True, "append_images": [picture(8)], "duration": 40}
    return encode(picture(7), form, **options)


def orientation() -> bytes:
    exif = Image.Exif()
    exif[0x112] = 6
    return encode(picture(9), "JPEG", exif=exif)


def odd_tags() -> bytes:
    noise = np.random.default_rng(0).bytes
    return encode(picture(9), "JPEG", exif=b"Exif\0\0" + noise(60), icc_profile=noise(200))


def fork(kitchen: Kitchen):
    put(folder(kitchen.here / "set") / "cat" / "._0.jpg", b"\0\5\x16\7")
    return DOCTOR


def names(kitchen: Kitchen):
    root = kitchen.here / "set"
    odd = ["wrong.png", "UPPER.JPG", "a b.jpg", "猫.jpg", "line\nbreak.jpg", "x" * 236 + ".jpg"]
    for number, name in enumerate(odd):
        put(root / "cat" / name, jpeg(number))
        put(root / "犬" / name, jpeg(number + 50))
    return DOCTOR


def tiff(values: np.ndarray) -> bytes:
    return encode(Image.fromarray(values), "TIFF")


def blank(side: int) -> bytes:
    stream = BytesIO()
    Image.new("1", (side, side)).save(stream, "PNG")
    return stream.getvalue()


def _cases() -> list[Case]:
    whole, page = jpeg(1), b"<!DOCTYPE html><html><body>404</body></html>"
    grey = pixels()[..., 0]
    palette = picture(5).convert("P")
    return [
        refused(1, "a file of 0 bytes", "a.jpg", b"", "empty file (0 bytes)"),
        refused(2, "half a JPEG", "a.jpg", whole[: len(whole) // 2], "truncated JPEG"),
        refused(3, "a PNG without its last bytes", "a.png", png(2)[:-7], "truncated PNG"),
        refused(4, "random bytes", "a.jpg", np.random.default_rng(0).bytes(900), "no image"),
        refused(5, "a web page saved as .jpg", "a.jpg", page, "HTML"),
        refused(6, "a PNG with a wrong checksum", "a.png", flipped(png(3), 40), "checksum"),
        refused(7, "a JPEG with a flipped bit", "a.jpg",
                flipped(whole, whole.index(b"\xff\xc4") + 5), "Huffman"),
        Case(8, "a macOS fork, ._0.jpg", fork, 0, ("macOS forks ._* (1)", "fit to train on")),
        fine(9, "CMYK", "a.jpg", encode(picture(5).convert("CMYK"), "JPEG"), "CMYK converted"),
        fine(10, "grey", "a.jpg", encode(picture(5).convert("L"), "JPEG"), "jpeg gray"),
        fine(11, "grey and alpha", "a.png", encode(picture(5).convert("LA"), "PNG"), "over white"),
        fine(12, "RGBA", "a.png", encode(picture(5).convert("RGBA"), "PNG"), "over white"),
        fine(13, "a palette", "a.png", encode(palette, "PNG"), "png palette"),
        fine(14, "a transparent palette", "a.png", encode(palette, "PNG", transparency=3), "white"),
        fine(15, "one bit", "a.png", encode(picture(5).convert("1"), "PNG"), "png bilevel"),
        fine(16, "16 bits", "a.png", deep(), "16 bits scaled to 8", after=scaled),
        refused(17, "a TIFF of floats", "a.tiff", tiff(grey.astype(np.float32) / 255),
                "floating-point pixels"),
        fine(18, "an animated GIF", "a.gif", animated("GIF"), "first frame of animations"),
        fine(19, "an animated WebP", "a.webp", animated("WEBP"), "first frame of animations"),
        fine(20, "an EXIF orientation", "a.jpg", orientation(), after=turned),
        fine(21, "damaged EXIF and ICC", "a.jpg", odd_tags()),
        refused(22, "144 megapixels", "a.png", blank(12000), "12000 x 12000 = 144,000,000",
                "limit of 89,000,000", "--set data.max_pixels=N allows"),
        refused(23, "400 megapixels", "a.png", blank(20000), "20000 x 20000 = 400,000,000"),
        fine(24, "1 x 1 pixel", "a.png", png(1, height=1, width=1), "height 1 to 1"),
        fine(25, "a strip of 1 x 4000", "a.png", png(1, height=4000, width=1), "4000 to 4000"),
        Case(26, "odd names and suffixes", names, 0, ("12 images in 2 classes", "fit to train")),
    ]  # fmt: skip


CASES = _cases()
