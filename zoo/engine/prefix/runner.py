"""Running the prefix on batches of bytes: in one go, or a few images at a time to spare memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch

from zoo.engine.place import autocast

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from zoo.engine.feed import Feed
    from zoo.engine.place import Place

PART = 8
"""Images at a time: at 224 pixels the first maps of a ResNet then take 13 MB in bf16, not 51."""


class PrefixRunner:
    """Uint8 images of a batch to prefix outputs, as the whole model would compute them.

    Args:
        prefix: Normalised images (N, C, H, W) to outputs (N, ...).
        feed: Normalises.
        place: Where and how precisely.
        spare: Compute :data:`PART` images at a time: less memory, a little slower, and what
            comes out may differ by rounding.
    """

    def __init__(
        self,
        prefix: Callable[[Tensor], Tensor],
        feed: Feed,
        place: Place,
        *,
        spare: bool = False,
    ) -> None:
        self.prefix, self.feed, self.place, self.spare = prefix, feed, place, spare

    def __call__(self, images: Tensor) -> Tensor:
        """Compute (N, C, H, W) to (N, ...) on the device."""
        with torch.no_grad(), autocast(self.place):
            if not self.spare or len(images) <= PART:
                return self.prefix(self.feed.images(images))
            pieces = torch.split(images, even(len(images), PART))
            return torch.cat([self.prefix(self.feed.images(piece)) for piece in pieces])


def even(count: int, most: int) -> int:
    """Size of the parts of ``count`` images, none of more than ``most``, the last as the others."""
    pieces = -(-count // most)
    return -(-count // pieces)
