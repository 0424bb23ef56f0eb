"""Images that could not be decoded and were left out: said once, with a few names."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zoo.data.scan import quote

if TYPE_CHECKING:
    from collections.abc import Mapping

_NAMED: Final = 5


def note_new(name: str, known: dict[str, str], found: Mapping[str, str]) -> tuple[str, ...]:
    """Add what was found to what is known, and say what of it is new.

    Args:
        name: What the set of images is called.
        known: Key of an image -> why it was left out; added to.
        found: The same.

    Returns:
        One line, or none.
    """
    keys = [key for key in found if key not in known]
    known.update(found)
    if not keys:
        return ()
    count = "1 image" if len(keys) == 1 else f"{len(keys)} images"
    named = ", ".join(quote(key) for key in keys[:_NAMED])
    more = f" and {len(keys) - _NAMED} more" if len(keys) > _NAMED else ""
    return (f"{name}: {count} left out, undecodable: {named}{more}",)
