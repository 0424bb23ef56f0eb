"""HTML and SVG from pieces: what is not markup already is text, and text is escaped.

Names of classes and files are written by anybody; one rule for both languages, and no way around
it, keeps them from being read as anything but text.
"""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING, Final, final

if TYPE_CHECKING:
    from collections.abc import Iterable

    Piece = str | int | None | Iterable["Piece"]
    Value = str | float | bool | None

_CONTROL: Final = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]"
)
_EMPTY: Final = frozenset({"br", "img", "meta", "circle", "line", "path", "polyline", "rect"})


@final
class Markup(str):
    """Text that is HTML or SVG already."""

    __slots__ = ()


def escaped(text: str) -> Markup:
    r"""Text as markup: special characters are escaped, and those that no page may hold spelled out.

    Control characters, marks that reverse the direction of writing, and undecodable bytes of file
    names come out as ``\u202e``.
    """
    shown = _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
    return Markup(html.escape(shown))


def joined(*pieces: Piece) -> Markup:
    """One piece after the other; strings are escaped unless they are markup, ``None`` is nothing."""
    return Markup("".join(_each(pieces)))


def _each(pieces: Iterable[Piece]) -> Iterable[str]:
    for piece in pieces:
        if piece is None:
            continue
        if isinstance(piece, Markup):
            yield piece
        elif isinstance(piece, str | int):
            yield escaped(str(piece))
        else:
            yield from _each(piece)


def tag(element: str, /, *pieces: Piece, **attributes: Value) -> Markup:
    """An element.

    Args:
        element: Its name.
        *pieces: What is in it, as :func:`joined` takes it.
        **attributes: ``class_`` is written ``class``, ``stroke_width`` ``stroke-width``; numbers are
            rounded to hundredths; ``None`` and ``False`` leave one out.
    """
    said = "".join(
        f' {key.rstrip("_").replace("_", "-")}="{escaped(_value(value))}"'
        for key, value in attributes.items()
        if value is not None and value is not False
    )
    if element in _EMPTY and not pieces:
        return Markup(f"<{element}{said}/>")
    return Markup(f"<{element}{said}>{joined(*pieces)}</{element}>")


def _value(value: Value) -> str:
    if value is True:
        return ""
    if isinstance(value, float):
        return f"{value:.2f}".rstrip("0").rstrip(".")
    return str(value)


def name(text: str, length: int = 80) -> Markup:
    """A name that somebody gave: of any direction of writing, and shortened if it is very long.

    Args:
        text: The name; the whole of a long one shows when it is pointed at.
        length: Letters to show, at most.
    """
    shown = shortened(text or "(no name)", length)
    return tag("bdi", shown, class_="name", title=None if shown == text else text)


def shortened(text: str, length: int) -> str:
    """The beginning of a text, with an ellipsis if there is more."""
    return text if len(text) <= length else text[: length - 1].rstrip() + "…"
