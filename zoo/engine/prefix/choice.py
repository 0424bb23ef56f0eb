"""How many random views of each training image are worth keeping when nobody says so.

A kept view is seen again, and a tail that trains learns its pixels by heart: a little after a few
times, much after many, and sooner the fewer images there are and the more of the model trains.
What that costs was measured (docs/explanation/views.md, ``tests/bench/views.py``); the rule stays
where the loss was within what another seed changes.
"""

from __future__ import annotations

import math

from zoo.errors import UsageError

REPEATS = 2.5
"""How often a view of an image may be seen in a run where layers train, if it is not short."""
SHORT = 5
"""Epochs in which too little is learnt by heart to matter: one view does."""
REPEATS_OF_HEADS = 10.0
"""How often where the frozen part gives vectors, so that a head alone trains."""
FEW = 500
"""Below so many training images every epoch draws anew: it costs little, and means most."""


def auto_views(images: int, epochs: int, *, head: bool = False) -> int:
    """Views of each training image that ``auto`` keeps; 0 = fresh ones every epoch.

    Args:
        images: Training images.
        epochs: Epochs of the run.
        head: Whether the frozen part gives vectors (N, D).
    """
    if images < FEW:
        return 0
    views = 1 if epochs <= SHORT else math.ceil(epochs / (REPEATS_OF_HEADS if head else REPEATS))
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
