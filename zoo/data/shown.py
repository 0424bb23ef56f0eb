"""Chosen images as an epoch shows them, wherever in the epoch they come."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from zoo.data.memory import in_memory
from zoo.data.views import View, undisturbed

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zoo.core.protocols import Augmentation
    from zoo.data.images import ImageSet
    from zoo.data.views import Drawn


def shown(
    images: ImageSet,
    transform: Augmentation,
    rows: Sequence[int],
    epochs: Sequence[int],
    *,
    seed: int,
) -> Iterator[Drawn]:
    """Give chosen images as epochs show them: the pixels that a loader gives on the CPU.

    Random states of the calling process are the same afterwards.

    Args:
        images: The set.
        transform: uint8 ``(C, H, W)`` to uint8 ``(C, H, W)``, all of one size.
        rows: Which images.
        epochs: Which epochs.
        seed: Seed of the run.

    Yields:
        A batch for each epoch, or why there is none.
    """
    fixed = bool(getattr(transform, "deterministic", False))
    memory = None if fixed else in_memory(images, transform, seed=seed)
    view = View(images, transform, seed, fixed)
    for epoch in epochs:
        if memory is not None:
            yield memory.take(torch.tensor(rows), epoch)
            continue
        with undisturbed():
            drawn = view.__getitems__([(epoch, row) for row in rows])
        yield drawn
