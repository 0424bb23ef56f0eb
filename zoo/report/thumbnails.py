"""Small pictures that lie inside the page."""

from __future__ import annotations

import base64
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from PIL import Image
from torch.nn import functional

from zoo.data.decode import with_channels
from zoo.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.data.images import ImageSet

EDGE: Final = 224
"""Pixels of the longer side, at most: twice what is shown, for fine screens."""
TINY: Final = 64
"""Images up to this size (pixels) are kept bit for bit, and shown in squares."""


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """A small picture.

    Attributes:
        source: As a ``data:`` address.
        tiny: Whether its pixels are to be seen one by one.
    """

    source: str
    tiny: bool


def thumbnail(images: ImageSet, index: int) -> Thumbnail | None:
    """Make a small picture of an image.

    Args:
        images: The set.
        index: Which of it.

    Returns:
        ``None`` if it cannot be read any more, or has more channels than pictures have.
    """
    try:
        return encode(images.load(index))
    except DataError:
        return None


def encode(image: Tensor) -> Thumbnail:
    """Reduce an image and write it as JPEG; a tiny one as PNG.

    Args:
        image: uint8 ``(C, H, W)`` with 1 to 4 channels.

    Raises:
        DataError: It has more channels.
    """
    if not 1 <= image.shape[0] <= 4:
        raise DataError(f"an image of {image.shape[0]} channels is no picture")
    image = with_channels(image, 1 if image.shape[0] == 1 else 3)
    longer = max(image.shape[-2:])
    if longer > EDGE:
        size = [max(1, round(side * EDGE / longer)) for side in image.shape[-2:]]
        image = functional.interpolate(image[None], size, mode="bilinear", antialias=True)[0]
    channels, high, wide = image.shape
    pixels = bytes(image.permute(1, 2, 0).flatten().tolist())
    picture = Image.frombytes("L" if channels == 1 else "RGB", (wide, high), pixels)
    stream, tiny = io.BytesIO(), longer <= TINY
    if tiny:
        picture.save(stream, "PNG", optimize=True)
    else:
        picture.save(stream, "JPEG", quality=80, optimize=True)
    text = base64.b64encode(stream.getvalue()).decode()
    return Thumbnail(f"data:image/{'png' if tiny else 'jpeg'};base64,{text}", tiny)
