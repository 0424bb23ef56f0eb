"""How many random views of each training image are worth keeping when nobody says so.

A kept view is seen again, and what trains learns its pixels by heart: a little after a few times,
much after many, and sooner the fewer images there are and the more of the model trains. What that
costs was measured (docs/explanation/views.md, ``tests/bench/views.py``); the rule stays where the
loss was within what another seed changes.
"""

from __future__ import annotations

import math

from zoo.errors import UsageError

TWICE = 2
"""How often a view may be seen: where layers train once whole, then in a random window."""
SHORT = 5
"""Epochs up to which layers learn something new from every new view."""
SAMPLES = 10_000
"""Views of all images together that there have to be."""
HEAD_SAMPLES = 8_000
"""The least of them where a head alone trains, in runs of any length."""
HEAD_ENOUGH = 40_000
"""As many of them as a head needs, however long it trains."""
HEAD_TIMES, HEAD_TIMES_EVEN = 2.5, 3
"""How often a head may see a view: a longer run learns the same ones further by heart.

The second where an image's views are spread evenly: seven of those cost what eight drawn anew do.
"""
FEW = 500
"""Below so many training images every epoch draws anew: it costs little, and means most."""


def auto_views(
    images: int, epochs: int, *, head: bool = False, windows: bool = False, even: bool = False
) -> int:
    """Views of each training image that ``auto`` keeps; 0 = fresh ones every epoch.

    Args:
        images: Training images.
        epochs: Epochs of the run.
        head: Whether the frozen part gives vectors (N, D), so that a head alone trains.
        windows: Whether views come back in random windows of their maps.
        even: Whether an image's views are spread evenly (:func:`zoo.data.views.moved_on`).
    """
    if images < FEW:
        return 0
    half = math.ceil(epochs / TWICE)
    if head:
        times = HEAD_TIMES_EVEN if even else HEAD_TIMES
        least, enough = math.ceil(HEAD_SAMPLES / images), math.ceil(HEAD_ENOUGH / images)
        views = min(half, max(least, round(epochs / times)), enough)
    else:
        views = max(half, math.ceil(SAMPLES / images)) if windows and epochs > SHORT else 0
    return views if views < epochs else 0


def parse_views(given: int | str) -> int | None:
    """What ``--views`` means: a number; 0 for ``fresh``; ``None`` for ``auto``.

    Raises:
        UsageError: It is none of these.
    """
    if given in ("fresh", "auto"):
        return 0 if given == "fresh" else None
    if isinstance(given, int) or given.isdecimal():
        found = int(given)
        if found >= 0:
            return found
    raise UsageError(f"--views {given!r} is not a number", hint="--views 4, fresh, or auto")
