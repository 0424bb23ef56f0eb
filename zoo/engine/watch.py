"""Who is told while a run is prepared, and the clock that it is timed by."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from zoo.engine.timings import Timings


def _silent(text: str) -> None:
    """Nobody listens."""
    del text


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """Who is told about things that take time before the loop starts.

    Attributes:
        progress: Called with (bytes so far, total or ``None``) during a download.
        note: Called with one line.
        clock: Told what time was spent on.
    """

    progress: Callable[[int, int | None], None] | None = None
    note: Callable[[str], None] = _silent
    clock: Timings = field(default_factory=Timings)
