"""Images reduced as they are read, so that all of them fit into memory.

A photo of 12 megapixels takes some 100 ms of a core to decode, many times what a frozen network
takes for it, and 36 MB to keep. Of 512 pixels on its shorter side (more than ImageNet's photos
have) it takes a megabyte, and is decoded once. What a crop shows is then resampled twice: its
pixels differ a little from those of the file. So nothing is reduced unless it is asked for.

This module imports no torch; pixels bring it along.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from zoo.data.images import Reader

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.data.images import ImageSet, Splits

LARGE: Final = 4_000_000
"""Pixels from which decoding takes longer than most networks."""


@dataclass(frozen=True, slots=True)
class Shrinking:
    """Gives the images of another reader, reduced.

    Attributes:
        reader: Gives them as they are.
        edge: Pixels on the shorter side, at most.
    """

    reader: Reader
    edge: int

    def read(self, row: int) -> Tensor:
        """Give image ``row``: uint8 ``(C, H, W)``."""
        return shrink(self.reader.read(row), self.edge)

    def whole(self) -> Tensor | None:
        """Give all images, uint8 ``(N, C, H, W)``, if they lie in memory anyway."""
        images = self.reader.whole()
        return None if images is None else shrink(images, self.edge)


def shrink(image: Tensor, edge: int) -> Tensor:
    """Reduce an image, antialiased (bilinear, as torchvision's ``resize``).

    Args:
        image: uint8 ``(C, H, W)`` or ``(N, C, H, W)``.
        edge: Pixels on the shorter side, at most.

    Returns:
        uint8, the image itself where it is not larger.
    """
    from torch.nn import functional

    high, wide = image.shape[-2:]
    size = shrunk_size((high, wide), edge)
    if size == (high, wide):
        return image
    batch = image if image.ndim == 4 else image[None]
    small = functional.interpolate(batch, size, mode="bilinear", antialias=True)
    return small if image.ndim == 4 else small[0]


def shrunk_size(size: tuple[int, int], edge: int) -> tuple[int, int]:
    """Height and width that an image is reduced to.

    Args:
        size: ``(H, W)`` in pixels.
        edge: Pixels on the shorter side, at most.
    """
    short = min(size)
    if short <= edge:
        return size
    high, wide = (max(1, round(side * edge / short)) for side in size)
    return high, wide


def shrunk(images: ImageSet, edge: int | None) -> ImageSet:
    """Have the images of a set reduced as they are read.

    Args:
        images: The set.
        edge: Pixels on the shorter side, at most; ``None`` = as they are.
    """
    sizes = images.sizes
    if edge is None or (sizes is not None and all(min(size) <= edge for size in sizes)):
        return images
    small = None if sizes is None else [shrunk_size(size, edge) for size in sizes]
    return replace(images, reader=Shrinking(images.reader, edge), sizes=small)


def shrunk_splits(splits: Splits, edge: int | None) -> Splits:
    """Have all images reduced, with a note of how many, or of what it would give.

    Args:
        splits: As they were opened.
        edge: Pixels on the shorter side, at most; ``None`` = as they are.
    """
    there = [images for images in (splits.train, splits.val, splits.test) if images is not None]
    sizes = [size for images in there for size in images.sizes or ()]
    if edge is None:
        usual = sorted(high * wide for high, wide in sizes)[len(sizes) // 2] if sizes else 0
        if usual < LARGE:
            return splits
        note = (
            f"large images ({usual / 1e6:.0f} megapixels): decoding them may take longer than the "
            "training; --shrink 512 reduces them as they are read, so that they fit into memory"
        )
        return replace(splits, notes=(*splits.notes, note))
    larger = sum(min(size) > edge for size in sizes)
    count = f"{larger:,} of {len(sizes):,}" if sizes else "larger"
    note = f"{count} images are reduced to {edge} pixels on their shorter side as they are read"
    return replace(
        splits,
        train=shrunk(splits.train, edge),
        val=shrunk(splits.val, edge),
        test=None if splits.test is None else shrunk(splits.test, edge),
        notes=(*splits.notes, note),
    )
