"""Pictures for tests, made on the spot: whole ones of every kind, and damaged ones."""

import io
import os
from pathlib import Path

import numpy as np
from PIL import Image

OLD = 1_600_000_000_000_000_000  # long ago, so that the guard's cache trusts the file


def pixels(seed=0, height=24, width=32, channels=3):
    """Smooth noise, uint8 (H, W, C)."""
    rng = np.random.default_rng(seed)
    small = rng.integers(0, 256, (4, 4, channels), dtype=np.uint8)
    planes = [Image.fromarray(small[..., c]).resize((width, height)) for c in range(channels)]
    return np.stack([np.asarray(plane) for plane in planes], -1)


def picture(seed=0, **size):
    return Image.fromarray(pixels(seed, **size))


def encode(image, form="JPEG", **options):
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def jpeg(seed=0, **size):
    return encode(picture(seed, **size), "JPEG", quality=92)


def png(seed=0, **size):
    return encode(picture(seed, **size), "PNG")


def bmp(seed=0, **size):
    """Of one size in bytes, whatever it shows."""
    return encode(picture(seed, **size), "BMP")


def put(path, data):
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    os.utime(path, ns=(OLD, OLD))
    return path


def folder(root, classes=("cat", "dog"), each=4, make=jpeg, start=0):
    """A folder of class folders with ``each`` pictures; all differ."""
    seed, ending = start, {png: "png", bmp: "bmp"}.get(make, "jpg")
    for name in classes:
        for number in range(each):
            put(Path(root) / name / f"{number}.{ending}", make(seed))
            seed += 1
    return Path(root)
