"""Three colours in every format, written by the library itself, tarfile and Pillow."""

from __future__ import annotations

import io
import tarfile

import datasets
import numpy as np
from PIL import Image

NAMES = ("blue", "green", "red")
COUNTS = {"train": 18, "validation": 6, "test": 6}


def png(label, number=0, size=32):
    """An image file of one colour and some noise."""
    noise = np.random.default_rng(100 * number + label)
    pixels = noise.integers(0, 80, (size, size, 3), dtype=np.uint8)
    pixels[..., 2 - label] += 150
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def features(**columns):
    kinds = {"image": datasets.Image(), "label": datasets.ClassLabel(names=list(NAMES))}
    return datasets.Features({**kinds, **columns})


def rows(split, count, labels=None):
    """So many rows of the three colours in turn."""
    images = [{"bytes": png(n % 3, n), "path": f"{split}-{n:02}.png"} for n in range(count)]
    return {"image": images, "label": labels or [n % 3 for n in range(count)]}


def table(split, count, labels=None, kinds=None, **columns):
    made = {**rows(split, count, labels), **columns}
    return datasets.Dataset.from_dict(made, features=kinds or features())


def whole():
    return datasets.DatasetDict({name: table(name, n) for name, n in COUNTS.items()})


def tar(path, items):
    """A tar of ``(name, bytes)``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(path, "w") as archive:
        for name, data in items:
            info = tarfile.TarInfo(name)
            info.size = len(data)
            archive.addfile(info, io.BytesIO(data))
    return path


def samples(split, count):
    """What a shard holds: an image and the number of its class, under one key."""
    for n in range(count):
        yield f"{split}/{n:04}.png", png(n % 3, n)
        yield f"{split}/{n:04}.cls", str(n % 3).encode()


def write(folder):
    """``shards/*.parquet``, ``tars/*.tar`` and ``saved`` below a folder."""
    datasets.disable_progress_bars()
    every = whole()
    (folder / "shards").mkdir(parents=True)
    for name, split in every.items():
        split.to_parquet(folder / "shards" / f"{name}-00000-of-00001.parquet")
        tar(folder / "tars" / f"{name}-000.tar", samples(name, COUNTS[name]))
    every.save_to_disk(folder / "saved")
    datasets.enable_progress_bars()
    return folder
