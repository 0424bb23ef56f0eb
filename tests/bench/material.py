"""What the peers train on: JPEG files in folders, and a pretrained file. Run in its own process.

``python material.py JOB.json`` makes both where the job says; ``peers.py`` calls it. The images
are zoo's generated demo classes, drawn larger than the network's input, as photos are. The
pretrained file is a torchvision-shaped resnet18 state dict with 1,000 classes (``.pth``, and the
same as ``.safetensors``), trained for a few
epochs on *other* demo classes (or on none: random weights from a fixed seed), so that what is
frozen has something to offer. The head is left as it was drawn.
"""

from __future__ import annotations

import json
import os
import sys
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn
from torchvision.models import resnet18

from zoo.builtin.demo import render, traits

DRAWN = 1000
"""Pixels a side that images are drawn with at most."""
OTHERS = 40
"""Classes of the pretraining, none of which is trained on later."""


def draw(folder: Path, split: str, *, classes: int, images: int, first: int, pixels: int) -> None:
    """Store ``images`` JPEG files in class folders, 4:3, the classes in turn."""
    one = partial(draw_one, folder / split, classes, first, pixels)
    if images < 1000 and pixels <= DRAWN:
        for number in range(images):
            one(number)
        return
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None
    with ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as pool:
        list(pool.map(one, range(images), chunksize=8))


def draw_one(folder: Path, classes: int, first: int, pixels: int, number: int) -> None:
    """Store one of them."""
    label = number % classes
    place = folder / "-".join(traits(OTHERS + label))
    place.mkdir(parents=True, exist_ok=True)
    square = Image.fromarray(render(OTHERS + label, first + number, size=min(pixels, DRAWN)))
    if pixels > DRAWN:  # a photo: enlarged, with the noise of a sensor, which JPEG has to store
        large = np.asarray(square.resize((pixels, pixels), Image.Resampling.BICUBIC), np.int16)
        noise = np.random.default_rng(first + number).normal(0, 6, (-(-pixels // 2),) * 2 + (3,))
        large = large + noise.astype(np.int16).repeat(2, 0).repeat(2, 1)[:pixels, :pixels]
        square = Image.fromarray(large.clip(0, 255).astype(np.uint8))
    photo = square.crop((0, pixels // 8, pixels, pixels - pixels // 8))
    photo.save(place / f"{number:05d}.jpg", quality=90)


def pretrain(path: Path, *, epochs: int, each: int = 30, size: int = 64) -> None:
    """Store a resnet18 state dict, trained on the first :data:`OTHERS` demo classes."""
    torch.manual_seed(0)
    model = resnet18()
    # A thousand outputs, as weights that people start from have; only the first ones are trained.
    images = torch.stack(
        [
            torch.from_numpy(render(label, number, size=size))
            for label in range(OTHERS)
            for number in range(each if epochs else 0)
        ]
        or [torch.zeros(size, size, 3, dtype=torch.uint8)]
    ).permute(0, 3, 1, 2)
    labels = torch.arange(OTHERS).repeat_interleave(each)
    steps = epochs * -(-len(images) // 32)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, 0.05, total_steps=max(1, steps))
    for _ in range(epochs):
        for rows in torch.randperm(len(images)).split(32):
            optimizer.zero_grad()
            batch = images[rows].float() / 255
            batch = (batch - 0.45) / 0.226
            if torch.rand(()) < 0.5:
                batch = batch.flip(-1)
            nn.functional.cross_entropy(model(batch), labels[rows]).backward()
            optimizer.step()
            schedule.step()
    path.parent.mkdir(parents=True, exist_ok=True)
    torch.save(model.state_dict(), path)
    save_file(model.state_dict(), path.with_suffix(".safetensors"))


def main() -> None:
    """Make what is not there yet."""
    job = json.loads(Path(sys.argv[1]).read_text())
    data, weights = Path(job["data"]), Path(job["weights"])
    shared = {"classes": job["classes"], "pixels": job["pixels"]}
    if not data.exists():
        draw(data, "train", images=job["images"], first=0, **shared)
        draw(data, "val", images=job["val_images"], first=job["images"], **shared)
    if not weights.exists():
        pretrain(weights, epochs=job["pretrain_epochs"])


if __name__ == "__main__":
    main()
