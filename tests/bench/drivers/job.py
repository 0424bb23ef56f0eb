"""What the drivers share: the job, the images, and how a result is handed back.

A driver is what a user of that library would write, and runs in an environment that need not
know zoo. It reads ``JOB.json`` (its only argument) and writes the share of validation images
that it got right after each epoch.
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace

from torch.utils.data import DataLoader
from torchvision.datasets import ImageFolder
from torchvision.transforms import (
    CenterCrop,
    Compose,
    Normalize,
    RandomHorizontalFlip,
    RandomResizedCrop,
    Resize,
    ToTensor,
)

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
FROZEN = {
    "none": (),
    "layer3": ("conv1", "bn1", "layer1", "layer2", "layer3"),
    "backbone": ("conv1", "bn1", "layer1", "layer2", "layer3", "layer4"),
}
"""The modules of torchvision's resnet18 that do not train."""


def read_job() -> SimpleNamespace:
    """The job as attributes."""
    return SimpleNamespace(**json.loads(Path(sys.argv[1]).read_text()))


def folders(job: SimpleNamespace) -> tuple[ImageFolder, ImageFolder]:
    """Training images with crops and flips, validation images resized and cut."""
    train = Compose(
        [RandomResizedCrop(job.size), RandomHorizontalFlip(), ToTensor(), Normalize(MEAN, STD)]
    )
    val = Compose(
        [Resize(job.size * 256 // 224), CenterCrop(job.size), ToTensor(), Normalize(MEAN, STD)]
    )
    return ImageFolder(f"{job.data}/train", train), ImageFolder(f"{job.data}/val", val)


class Clock:
    """Times the training part of epochs."""

    def __init__(self, job: SimpleNamespace, images: int) -> None:
        self.job, self.images = job, images
        self.seconds: list[float] = []
        self._began = 0.0

    def start(self) -> None:
        """An epoch begins."""
        self._began = time.monotonic()

    def stop(self) -> None:
        """Its last step is done."""
        if self.job.device == "cuda":
            import torch

            torch.cuda.synchronize()
        self.seconds.append(time.monotonic() - self._began)

    def rate(self) -> float | None:
        """Images a second in the epochs after the first."""
        later = self.seconds[1:]
        return self.images * len(later) / sum(later) if later else None


def loaders(job: SimpleNamespace) -> tuple[DataLoader, DataLoader]:
    """The usual loaders."""
    train, val = folders(job)
    shared = {"batch_size": job.batch, "num_workers": job.workers}
    if job.device == "cuda":
        shared["pin_memory"] = True
    if job.workers:
        shared["persistent_workers"] = True
    return DataLoader(train, shuffle=True, **shared), DataLoader(val, **shared)


def finish(job: SimpleNamespace, top1: list[float], rate: float | None = None) -> None:
    """Hand the accuracies over, one for each epoch, and how fast it was."""
    assert len(top1) == job.epochs, f"{len(top1)} accuracies of {job.epochs} epochs"
    Path(job.out, "top1.json").write_text(json.dumps(top1))
    Path(job.out, "rate.json").write_text(json.dumps(rate))
