"""Words on pictures: as large as asked, without signs that cannot be drawn, cut where they end."""

from __future__ import annotations

from functools import cache
from typing import Final

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
_DOTS: Final = "..."


@cache
def font(points: int) -> Font:
    """Pillow's own font; one size only where Pillow comes without FreeType."""
    try:
        return ImageFont.load_default(points)
    except (ImportError, OSError):
        return ImageFont.load_default()


def plain(text: str, points: int) -> str:
    """A text with a question mark for each sign that cannot be drawn."""
    found = "".join(sign if sign.isprintable() else "?" for sign in text)
    if not isinstance(font(points), ImageFont.FreeTypeFont):
        found = found.encode("latin-1", "replace").decode("latin-1")
    return found


def length(text: str, points: int) -> float:
    """How wide a text is, in pixels."""
    return font(points).getlength(plain(text, points))


def fitted(text: str, points: int, width: int) -> str:
    """A text as far as it fits into so many pixels, dots for the rest; empty if nothing does."""
    text = plain(text, points)
    if length(text, points) <= width:
        return text
    for keep in range(len(text) - 1, 0, -1):
        if length(shown := text[:keep] + _DOTS, points) <= width:
            return shown
    return ""
