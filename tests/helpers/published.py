"""Data sets drawn here in the files that they are published as, so that torchvision reads them."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import struct
from pathlib import Path

import numpy as np
from PIL import Image


def garments(count: int, seed: int, side: int = 28) -> tuple[np.ndarray, np.ndarray]:
    """Grey pictures (N, 28, 28) of ten kinds (a bright bar at another height each), and labels."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 10
    images = random.integers(0, 60, (count, side, side))
    for image, label in zip(images, labels, strict=True):
        top = 1 + int(label) * (side - 3) // 10
        image[top : top + 3, 4:-4] += 180
    return images.astype(np.uint8), labels.astype(np.uint8)


def fashion_mnist(root: Path, train: int = 640, test: int = 100) -> None:
    """``FashionMNIST/raw/*-ubyte``: IDX files, and the archives that they come from."""
    folder = root / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name, count, seed in (("train", train, 0), ("t10k", test, 1)):
        images, labels = garments(count, seed)
        parts = {
            "images-idx3": struct.pack(">IIII", 2051, count, 28, 28) + images.tobytes(),
            "labels-idx1": struct.pack(">II", 2049, count) + labels.tobytes(),
        }
        for part, data in parts.items():
            (folder / f"{name}-{part}-ubyte").write_bytes(data)
            (folder / f"{name}-{part}-ubyte.gz").write_bytes(gzip.compress(data))


def cifar10(root: Path, names: list[str], per_batch: int = 20) -> dict[str, str]:
    """``cifar-10-batches-py/``: five pickled batches, one of tests, and the names.

    Returns:
        The md5 of each file, which torchvision compares with the published ones.
    """
    folder = root / "cifar-10-batches-py"
    folder.mkdir(parents=True)
    batches = [f"data_batch_{number}" for number in range(1, 6)] + ["test_batch"]
    content: dict[str, object] = {"batches.meta": {"label_names": names}}
    for seed, name in enumerate(batches):
        images, labels = garments(per_batch, seed, 32)
        rows = np.repeat(images.reshape(per_batch, 1, -1), 3, axis=1).reshape(per_batch, -1)
        content[name] = {"data": rows, "labels": labels.tolist()}
    digests = {}
    for name, value in content.items():
        data = pickle.dumps(value)
        (folder / name).write_bytes(data)
        digests[name] = hashlib.md5(data, usedforsecurity=False).hexdigest()
    return digests


def cats_and_dogs(root: Path, count: int = 20) -> None:
    """``train/cat/0.jpg``, ``val/dog/3.jpg`` ...: cats are warm and dogs are cold."""
    random = np.random.default_rng(0)
    for split, number in (("train", count), ("val", count // 2)):
        for kind, colour in (("cat", (210, 120, 60)), ("dog", (60, 110, 210))):
            folder = root / split / kind
            folder.mkdir(parents=True)
            for index in range(number):
                noise = random.integers(-40, 40, (40, 48, 3))
                pixels = np.clip(np.array(colour) + noise, 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.jpg")
