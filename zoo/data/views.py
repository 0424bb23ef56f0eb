"""Randomness by counting: what happens to an image is a function of (seed, epoch, index).

Nothing depends on what was drawn before, on the number of workers, or on where an epoch was
entered: resuming in the middle of one needs two integers and replays nothing.
"""

from __future__ import annotations

import hashlib
import random
import struct
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import torch

from zoo.core.protocols import Augmentation
from zoo.data.images import ImageSet
from zoo.data.kept import Kept
from zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from torch import Tensor

_GOLDEN = 0x9E3779B97F4A7C15
Key = tuple[int, int]
"""``(epoch, index)``: all that a worker is told."""


class Batch(NamedTuple):
    """One batch, in host memory; or images and labels on the device, for a set that lies there.

    Attributes:
        images: uint8 ``(N, C, H, W)``.
        labels: int64 ``(N,)``.
        indices: int64 ``(N,)``: which images of the set these are.
    """

    images: Tensor
    labels: Tensor
    indices: Tensor


class Drawn(NamedTuple):
    """What a worker sends: a batch, or why there is none.

    Attributes:
        batch: The batch; ``None`` if every image was left out or one failed.
        skipped: ``(index, reason)`` of images that were left out.
        failure: Message and hint of the error that ends the epoch.
    """

    batch: Batch | None
    skipped: tuple[tuple[int, str], ...] = ()
    failure: tuple[str, str] | None = None


def number(*counters: int) -> int:
    """64 random bits that depend on every counter and their order.

    Args:
        *counters: Integers of at most 64 bits.
    """
    packed = struct.pack(f"<{len(counters)}Q", *(counter % 2**64 for counter in counters))
    return int.from_bytes(hashlib.blake2b(packed, digest_size=8).digest(), "little")


def uniform(
    rows: Tensor, count: int, *, seed: int, epoch: int, strides: Sequence[float] = ()
) -> Tensor:
    """Draw numbers for many images at once, each image's own by (seed, epoch, index).

    Args:
        rows: Indices of the images, int64 ``(N,)``.
        count: Numbers per image.
        seed: Seed of the run.
        epoch: Which epoch.
        strides: As :func:`moved_on` takes them; none = nothing links an image's epochs.

    Returns:
        float32 ``(N, count)`` in 0..1, without 1.
    """
    if strides:
        first = uniform(rows, count, seed=seed, epoch=0)
        return moved_on(first, torch.full((len(rows),), epoch), strides)
    start = np.uint64(number(seed, epoch, 0x6472617773))
    places = rows.numpy().astype(np.uint64)[:, None] * np.uint64(count)
    bits: Any = places + np.arange(1, count + 1, dtype=np.uint64)
    bits = start + bits * np.uint64(_GOLDEN)  # splitmix64; arrays wrap around without a word
    bits = (bits ^ (bits >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    bits = (bits ^ (bits >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    bits ^= bits >> np.uint64(31)
    return torch.from_numpy((bits >> np.uint64(40)).astype(np.float32) / np.float32(2**24))


def all_even(transform: Augmentation | None) -> bool:
    """Whether all that a transform draws at random are numbers that :func:`moved_on` spreads."""
    told = max(getattr(transform, "numbers", 0), getattr(transform, "draws", 0))
    return 0 < told == len(getattr(transform, "strides", ()))


def seed_from(*counters: int) -> None:
    """Seed python, numpy and torch's CPU generator from counters, in about ten microseconds.

    (``torch.manual_seed`` would cost fifty times as much: it also seeds every accelerator.)
    """
    value = number(*counters)
    random.seed(value)
    np.random.seed(value % 2**32)
    torch.default_generator.manual_seed(value % 2**63)


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put the random states of python, numpy and torch's CPU back afterwards."""
    kept = random.getstate(), np.random.get_state(), torch.default_generator.get_state()
    try:
        yield
    finally:
        random.setstate(kept[0])
        np.random.set_state(kept[1])
        torch.default_generator.set_state(kept[2])


def first_numbers(
    keys: Sequence[Key], count: int, seed: int, strides: Sequence[float] = ()
) -> Tensor:
    """What torch's generator would give first, had it been seeded for each image.

    Args:
        keys: Epoch and index of each image.
        count: Numbers per image.
        seed: Seed of the run.
        strides: As :func:`moved_on` takes them: the numbers are then those of the image's epoch 0,
            moved on. None = nothing links an image's epochs.

    Returns:
        float32 ``(N, K)`` with K = ``count``, in 0..1 without 1: what follows :func:`seed_from`.
    """
    found, generator = torch.empty((len(keys), count)), torch.Generator()
    for place, (epoch, index) in enumerate(keys):
        generator.manual_seed(number(seed, 0 if strides else epoch, index) % 2**63)
        torch.rand(count, generator=generator, out=found[place])
    return moved_on(found, torch.tensor([key[0] for key in keys]), strides) if strides else found


def moved_on(numbers: Tensor, epochs: Tensor, strides: Sequence[float]) -> Tensor:
    """The numbers of later epochs: those of epoch 0, each so many strides further, around 1.

    An image's numbers then lie more evenly in 0..1 than numbers drawn anew would, after any few
    epochs; each is as random as before, and those of different images have nothing to do with one
    another. It is a rank-1 lattice, shifted at random for each image (Cranley and Patterson 1976).

    Args:
        numbers: Those of epoch 0, float32 ``(N, K)`` in 0..1 without 1.
        epochs: Epoch of each row, int64 ``(N,)``.
        strides: How far each of the K numbers moves from one epoch to the next.

    Returns:
        float32 ``(N, K)`` in 0..1, without 1.
    """
    far = epochs.double()[:, None] * torch.tensor(strides, dtype=torch.float64)
    return ((numbers.double() + far) % 1.0 * 2**24).floor().div(2**24).float()


def order(count: int, *, seed: int, epoch: int) -> Tensor:
    """The order in which an epoch visits its images.

    Args:
        count: Number of images.
        seed: Seed of the run.
        epoch: Which epoch.

    Returns:
        A permutation, int64 ``(N,)`` with N = ``count``.
    """
    generator = torch.Generator().manual_seed(number(seed, epoch, 0x6F72646572) % 2**63)
    return torch.randperm(count, generator=generator)


@dataclass(frozen=True, slots=True)
class View:
    """An image set as a loader sees it: decoded, transformed, stacked, batch by batch.

    Attributes:
        images: The images.
        transform: uint8 ``(C, H, W)`` to uint8 ``(C, H, W)``; ``None`` = as they are.
        seed: Seed of the run.
        fixed: The transform draws nothing at random, so nothing is seeded.
        kept: Keeps what was read; ``None`` = everything is read anew each time.
    """

    images: ImageSet
    transform: Augmentation | None
    seed: int
    fixed: bool = False
    kept: Kept | None = None

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, key: Key) -> Tensor:
        """Give one transformed image, uint8 ``(C, H, W)``."""
        epoch, index = key
        if self.fixed or self.transform is None:
            return self._remembered(index, self._plain)
        image = self.image(index)
        seed_from(self.seed, epoch, index)
        if not self.strides:
            return self.transform(image)
        even: Any = self.transform
        shown: Tensor = even(image, self.drawn([key])[0])
        return shown

    @property
    def numbers(self) -> int:
        """Numbers by which the transform can be told what to draw, for each image; 0 = it cannot."""
        return 0 if self.fixed else int(getattr(self.transform, "numbers", 0))

    @property
    def strides(self) -> tuple[float, ...]:
        """How far each of a transform's numbers moves from epoch to epoch; none = drawn anew."""
        return () if self.fixed else tuple(getattr(self.transform, "strides", ()))

    def drawn(self, keys: Sequence[Key]) -> Tensor:
        """The numbers that a transform is told for each image, float32 ``(N, K)``."""
        strides = self.strides
        return first_numbers(keys, len(strides) or self.numbers, self.seed, strides)

    def image(self, index: int, *, lend: bool = False) -> Tensor:
        """Give one image as it was decoded, uint8 ``(C, H, W)``; not lent, it may be changed."""
        return self._remembered(index, self.images.load, lend=lend)

    def _remembered(
        self, index: int, read: Callable[[int], Tensor], *, lend: bool = False
    ) -> Tensor:
        return read(index) if self.kept is None else self.kept.get(index, read, lend=lend)

    def _plain(self, index: int) -> Tensor:
        """One image by a transform that draws nothing, uint8 ``(C, H, W)``."""
        image = self.images.load(index)
        return self.transform(image) if self.transform else image

    def __getitems__(self, keys: Sequence[Key]) -> Drawn:
        """Give a whole batch. Errors travel as words, since a worker's trace helps nobody."""
        found: list[Tensor | DataError] = []
        for key in keys:
            try:
                found.append(self[key])
            except DataError as error:
                found.append(error)
                if self.images.on_bad == "error":
                    break
        return self.collated(keys, found)

    def collated(self, keys: Sequence[Key], found: Sequence[Tensor | DataError]) -> Drawn:
        """Make a batch of images, or of why they could not be read, in the order of the keys."""
        kept: list[tuple[int, Tensor]] = []
        skipped: list[tuple[int, str]] = []
        for key, image in zip(keys, found, strict=False):
            if not isinstance(image, DataError):
                kept.append((key[1], image))
            elif self.images.on_bad == "error":
                return Drawn(None, failure=(image.message, image.hint))
            else:
                skipped.append((key[1], image.message))
        if not kept:
            return Drawn(None, tuple(skipped))
        try:
            pixels = _stacked([image for _, image in kept])
        except RuntimeError:
            sizes = sorted({tuple(image.shape) for _, image in kept})
            message = f"{self.images.name}: images of one batch differ in shape: {sizes[:3]}"
            return Drawn(None, failure=(message, "choose a transform that gives one size"))
        rows = torch.tensor([index for index, _ in kept])
        labels = torch.tensor([self.images.labels[index] for index, _ in kept])
        return Drawn(Batch(pixels, labels, rows), tuple(skipped))


def _stacked(images: Sequence[Tensor]) -> Tensor:
    """A batch (N, C, H, W) of images (C, H, W), its channels last in memory where theirs are.

    Raises:
        RuntimeError: They differ in shape.
    """
    if images[0].ndim == 3 and images[0].stride(0) == 1 < images[0].shape[0]:
        return torch.stack([image.permute(1, 2, 0) for image in images]).permute(0, 3, 1, 2)
    return torch.stack(list(images))
