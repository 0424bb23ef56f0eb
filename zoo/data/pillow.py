"""Pillow's own limit of pixels, which gives way to the recipe's, and what its modes mean. No torch."""

from __future__ import annotations

from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Final

from PIL import Image

if TYPE_CHECKING:
    from collections.abc import Iterator

_LIMIT: Final = Lock()


@contextmanager
def any_number_of_pixels() -> Iterator[None]:
    """Have Pillow open what is larger than its own limit, so that both numbers can be said."""
    with _LIMIT:
        own, Image.MAX_IMAGE_PIXELS = Image.MAX_IMAGE_PIXELS, None
        try:
            yield
        finally:
            Image.MAX_IMAGE_PIXELS = own


def allow(pixels: int) -> None:
    """Raise Pillow's own limit, above which it warns or fails, to one that was asked for."""
    with _LIMIT:
        if Image.MAX_IMAGE_PIXELS is not None and pixels > Image.MAX_IMAGE_PIXELS:
            Image.MAX_IMAGE_PIXELS = pixels


def is_deep(picture: Image.Image) -> bool:
    """Whether the pixels of an image are 0 to 65535."""
    scaled = picture.mode == "I" and picture.format in ("PNG", "PPM")
    return scaled or picture.mode.startswith("I;16")
