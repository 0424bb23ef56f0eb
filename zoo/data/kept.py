"""Images kept in memory once they were read: decoding is most of what reading costs.

Kept are pixels before anything random happens: the decoded image, or, where the transform is
fixed, what it gives. The bytes are those that reading again would give.
"""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from zoo.data.images import ImageSet


class Kept:
    """As many images as fit, first come, first kept.

    Args:
        limit: Bytes that may be taken.
    """

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._images: dict[int, Tensor] = {}
        self._lock = threading.Lock()

    def __len__(self) -> int:
        return len(self._images)

    def forget(self) -> None:
        """Let go of every image."""
        self._left += sum(image.numel() for image in self._images.values())
        self._images.clear()

    def get(self, index: int, read: Callable[[int], Tensor], *, lend: bool = False) -> Tensor:
        """Give an image that the caller may change, uint8 ``(C, H, W)``.

        Args:
            index: Which image of the set.
            read: Reads it if it is not here.
            lend: The caller will not change it.
        """
        found = self._images.get(index)
        if found is not None:
            return found if lend else found.clone()
        image = read(index)
        with self._lock:
            fits = image.numel() <= self._left
            self._left -= image.numel() if fits else 0
        if fits:
            self._images[index] = image if lend else image.clone()
        return image


def bytes_of(images: ImageSet, shape: tuple[int, ...] | None, channels: int) -> int | None:
    """How much a set takes.

    Args:
        images: The set.
        shape: Of each image, (C, H, W), where all become equal; else ``None``.
        channels: Of an image as it is decoded.

    Returns:
        Bytes; ``None`` if sizes are not known without decoding.
    """
    if shape is not None:
        return math.prod(shape) * len(images)
    if images.sizes is None:
        return None
    return channels * sum(high * wide for high, wide in images.sizes)
