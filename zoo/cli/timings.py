"""``--timings``: where the time went, as a table on stderr."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.cli.output import Out
    from zoo.engine.timings import Timings


def started() -> Timings:
    """A clock that runs since the process began; its first lap, the start, is over."""
    from zoo.engine.judging import judge
    from zoo.engine.timings import Timings, process_began

    del judge  # imported for the time that it takes
    clock = Timings(began=process_began())
    clock.lap("start")
    return clock


def show(out: Out, seconds: Mapping[str, float]) -> None:
    """Show seconds by topic.

    Args:
        out: Where words go.
        seconds: As :meth:`zoo.engine.timings.Timings.to_dict` gives them.
    """
    from zoo.engine.timings import TOPICS

    total = max(seconds.get("total", 0.0), 1e-9)
    out.note("timings (seconds by the clock)")
    for topic, what in TOPICS.items():
        if topic in seconds:
            share = 100 * seconds[topic] / total
            out.note(f"  {topic:9}{seconds[topic]:9.2f} {share:4.0f} %  {what}")
    out.note(f"  {'total':9}{total:9.2f}")
    if "first_step" in seconds:
        out.note(f"  the first step was done after {seconds['first_step']:.2f} s")
