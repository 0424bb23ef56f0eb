"""The fast way for small sets: pixels as one tensor, batches cut out of it by index.

Taken when the whole set lies in memory anyway (digits, MNIST, CIFAR) and the transform can work by
batch: it draws nothing at random, or takes its random numbers as an argument. Then no Python runs
per image. What is drawn is still a function of (seed, epoch, index) alone.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from zoo.data.views import Batch, Drawn, uniform

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.core.protocols import Augmentation
    from zoo.data.images import ImageSet

LIMIT: Final = 1 << 30
"""Transformed sets above this many bytes are transformed batch by batch."""
_CHUNK: Final = 256


class Memory:
    """A set of images of one size, transformed once or batch by batch.

    Args:
        images: The images.
        pixels: All of them, uint8 ``(N, C, H, W)``.
        transform: ``None`` = as they are; fixed and ``batched``; or random with ``many``.
        seed: Seed of the run, for random ones.
    """

    def __init__(
        self,
        images: ImageSet,
        pixels: Tensor,
        transform: Augmentation | None = None,
        seed: int = 0,
    ) -> None:
        self.labels = torch.as_tensor(list(images.labels), dtype=torch.int64)
        self._pixels, self._transform, self._seed = pixels, transform, seed
        self._draws = int(getattr(transform, "draws", 0))
        if transform is None or self._draws:
            return
        if transform(pixels[:1]).numel() * len(pixels) <= LIMIT:
            chunks = torch.split(pixels, _CHUNK)
            self._pixels = torch.cat([transform(chunk) for chunk in chunks])
            self._transform = None

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor, epoch: int = 0) -> Drawn:
        """Give the images at ``rows``, int64 ``(N,)``, as they look in ``epoch``."""
        pixels, transform = self._pixels[rows], self._transform
        if self._draws:
            draws = uniform(rows, self._draws, seed=self._seed, epoch=epoch)
            pixels = transform.many(pixels, draws)  # type: ignore[union-attr]
        elif transform is not None:
            pixels = transform(pixels)
        return Drawn(Batch(pixels, self.labels[rows], rows))


def in_memory(images: ImageSet, transform: Augmentation | None, *, seed: int = 0) -> Memory | None:
    """The fast way, if it can be taken.

    Args:
        images: The images.
        transform: Their transform.
        seed: Seed of the run.
    """
    fixed = getattr(transform, "deterministic", False) and getattr(transform, "batched", False)
    if not (transform is None or fixed or getattr(transform, "draws", 0)):
        return None
    pixels = images.whole()
    return None if pixels is None else Memory(images, pixels, transform, seed)
