"""The fast way for small sets: pixels as one tensor, batches cut out of it by index.

Taken when the whole set lies in memory anyway (digits, MNIST, CIFAR) and the transform can work by
batch: it draws nothing at random, or takes its random numbers as an argument. Then no Python runs
per image. What is drawn is still a function of (seed, epoch, index) alone.

On an accelerator the pixels lie there, as bytes, and are indexed and augmented there: nothing but
row numbers and draws travels. (Interpolated pixels may differ from the CPU's by one in 255 then.)
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
        device: Where pixels and labels are to lie, if they fit.
    """

    def __init__(
        self,
        images: ImageSet,
        pixels: Tensor,
        transform: Augmentation | None = None,
        seed: int = 0,
        device: str = "cpu",
    ) -> None:
        self.labels = torch.as_tensor(list(images.labels), dtype=torch.int64)
        self._pixels, self._transform, self._seed = pixels, transform, seed
        self._draws = int(getattr(transform, "draws", 0))
        self._strides = tuple(getattr(transform, "strides", ()))
        fixed = transform is not None and not self._draws
        if fixed and transform(pixels[:1]).numel() * len(pixels) <= LIMIT:  # type: ignore[misc]
            chunks = torch.split(pixels, _CHUNK)
            self._pixels = torch.cat([transform(chunk) for chunk in chunks])  # type: ignore[misc]
            self._transform = None
        self.device = device if fits(self._pixels, device) else "cpu"
        self._pixels, self.labels = self._pixels.to(self.device), self.labels.to(self.device)

    def __len__(self) -> int:
        return len(self.labels)

    def take(self, rows: Tensor, epoch: int = 0) -> Drawn:
        """Give the images at ``rows``, int64 ``(N,)``, as they look in ``epoch``.

        Images and labels are where they lie; the row numbers stay on the CPU.
        """
        here = rows.to(self.device, non_blocking=True)
        pixels, transform = self._pixels[here], self._transform
        if self._draws:
            draws = uniform(rows, self._draws, seed=self._seed, epoch=epoch, strides=self._strides)
            pixels = transform.many(pixels, draws.to(self.device))  # type: ignore[union-attr]
        elif transform is not None:
            pixels = transform(pixels)
        return Drawn(Batch(pixels, self.labels[here], rows))


def fits(pixels: Tensor, device: str) -> bool:
    """Whether bytes may lie on a device: as many as :data:`LIMIT`, a quarter of what is free.

    Args:
        pixels: uint8 ``(N, C, H, W)``.
        device: Type of the device.
    """
    if device != "cuda":
        return pixels.numel() <= LIMIT
    free, _ = torch.cuda.mem_get_info()
    return pixels.numel() <= min(LIMIT, free // 4)


def in_memory(
    images: ImageSet, transform: Augmentation | None, *, seed: int = 0, device: str = "cpu"
) -> Memory | None:
    """The fast way, if it can be taken.

    Args:
        images: The images.
        transform: Their transform.
        seed: Seed of the run.
        device: Type of the device that computes.
    """
    fixed = getattr(transform, "deterministic", False) and getattr(transform, "batched", False)
    if not (transform is None or fixed or getattr(transform, "draws", 0)):
        return None
    pixels = images.whole()
    return None if pixels is None else Memory(images, pixels, transform, seed, device)
