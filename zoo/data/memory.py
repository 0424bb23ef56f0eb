"""The fast way for small sets: pixels as one tensor, batches cut out of it by index.

Taken when the whole set lies in memory anyway (digits, MNIST, CIFAR) and the transform draws
nothing at random: then no Python runs per image. Gives the same bytes as the slow way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from zoo.data.views import Batch, Drawn

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from zoo.core.protocols import Augmentation
    from zoo.data.images import ImageSet
    from zoo.data.views import Key

LIMIT: Final = 1 << 30
"""Transformed sets above this many bytes are transformed batch by batch."""
_CHUNK: Final = 256


class Memory:
    """A set of images of one size, transformed once or batch by batch.

    Args:
        images: The images.
        pixels: All of them, uint8 ``(N, C, H, W)``.
        transform: Fixed; must take ``(N, C, H, W)`` as well (it says ``batched``); ``None`` = as
            they are.
    """

    def __init__(self, images: ImageSet, pixels: Tensor, transform: Augmentation | None) -> None:
        self.labels = torch.as_tensor(list(images.labels), dtype=torch.int64)
        self._pixels, self._transform = pixels, transform
        if transform is not None and transform(pixels[:1]).numel() * len(pixels) <= LIMIT:
            chunks = torch.split(pixels, _CHUNK)
            self._pixels = torch.cat([transform(chunk) for chunk in chunks])
            self._transform = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitems__(self, keys: Sequence[Key]) -> Drawn:
        """Give a whole batch."""
        return self.take(torch.tensor([index for _, index in keys]))

    def take(self, rows: Tensor) -> Drawn:
        """Give the images at ``rows``, int64 ``(N,)``."""
        pixels = self._pixels[rows]
        pixels = pixels if self._transform is None else self._transform(pixels)
        return Drawn(Batch(pixels, self.labels[rows], rows))


def in_memory(images: ImageSet, transform: Augmentation | None, *, fixed: bool) -> Memory | None:
    """The fast way, if it can be taken.

    Args:
        images: The images.
        transform: Their transform.
        fixed: Whether it draws nothing at random.
    """
    if not (fixed and (transform is None or getattr(transform, "batched", False))):
        return None
    pixels = images.whole()
    return None if pixels is None else Memory(images, pixels, transform)
