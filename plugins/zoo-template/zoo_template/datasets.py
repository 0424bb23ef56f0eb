"""The plugin's data set. Shapes: C channels, H and W pixels."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import Dataset

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


class Stripes(Dataset[tuple[Any, int]]):
    """Stripes of a random width, horizontal (class 0) or vertical (class 1).

    Args:
        root: Not used: nothing is read.
        split: ``train`` or ``val``.
        transform: Applied to the image, uint8 (3, H, W).
        download: Not used: nothing is downloaded.
        size: Height and width of an image in pixels.
    """

    classes = ("horizontal", "vertical")

    def __init__(
        self,
        root: str | Path = "",
        split: str = "train",
        transform: Callable[[Any], Any] | None = None,
        download: bool = False,
        size: int = 32,
    ) -> None:
        del root, download
        count, self.seed = {"train": (64, 0), "val": (16, 1)}[split]
        self.targets = [index % 2 for index in range(count)]
        self.transform = transform
        self.size = size

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        label = self.targets[index]
        generator = torch.Generator().manual_seed(1000 * self.seed + index)
        width = int(torch.randint(2, 6, (), generator=generator))
        bright = (torch.arange(self.size) // width % 2 * 255).to(torch.uint8)
        image = bright.expand(3, self.size, self.size)
        if label == 0:
            image = image.transpose(1, 2)
        image = image.contiguous()
        return (self.transform(image) if self.transform else image), label
