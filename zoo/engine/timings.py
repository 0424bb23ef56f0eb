"""Where a run's time went, by the clock on the wall. Imports no torch.

The conductor calls :meth:`Timings.lap` after each thing it does; the loop's share is told from its
reports as they pass (:meth:`Timings.through`), so that the loop itself measures nothing.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

T = TypeVar("T")

TOPICS: Final = {
    "start": "python, the command line, imports of torch",
    "data": "scanning, checking and opening the images",
    "weights": "finding, downloading and reading weights",
    "build": "the model, its package imported",
    "prepare": "freezing, optimizer, loaders, folder, a first pass",
    "load": "train: waiting for images",
    "compute": "train: forward, backward, update",
    "frozen": "the frozen part's outputs: computed, kept, read",
    "evaluate": "on the validation images",
    "save": "training stood still for a save",
    "report": "writing down and showing",
    "finish": "proof, best weights, result",
    "predict": "images read and classified",
}
"""What time is spent on, in the order of a run -> what that is."""

_OF = {"StepReport": "compute", "EpochReport": "evaluate", "SavedReport": "save"}


class Waited:
    """A loader that knows for how long somebody waited for its batches.

    Args:
        loader: The loader; everything but ``epoch`` is its own.

    Attributes:
        loader: The same.
        seconds: Spent in fetching batches.
    """

    def __init__(self, loader: Any) -> None:
        self.loader = loader
        self.seconds = 0.0

    def __getattr__(self, name: str) -> Any:
        """What the loader has."""
        return getattr(self.loader, name)

    def __len__(self) -> int:
        return len(self.loader)

    def epoch(self, epoch: int, start_batch: int = 0, **shown: Any) -> Iterator[Any]:
        """Give the batches of an epoch, as the loader does (``shown``: what else it takes)."""
        batches = iter(self.loader.epoch(epoch, start_batch, **shown))
        try:
            while True:
                began = time.monotonic()
                try:
                    batch = next(batches)
                except StopIteration:
                    return
                finally:
                    self.seconds += time.monotonic() - began
                yield batch
        finally:
            close = getattr(batches, "close", None)
            if close is not None:
                close()


class Timings:
    """Seconds by topic.

    Args:
        began: When it all began, of :func:`time.monotonic`; default: now.

    Attributes:
        seconds: Topic of :data:`TOPICS` -> seconds.
        first_step: Seconds from the beginning until the first optimizer step was done.
        last: Seconds of the last lap.
    """

    def __init__(self, began: float | None = None) -> None:
        self._began = self._last = time.monotonic() if began is None else began
        self.seconds: dict[str, float] = {}
        self.first_step: float | None = None
        self.last = 0.0

    def lap(self, topic: str) -> None:
        """Put the time since the last lap down to a topic."""
        now = time.monotonic()
        self.last = now - self._last
        self.move(self.last, topic)
        self._last = now

    def move(self, seconds: float, topic: str, source: str | None = None) -> None:
        """Put seconds down to a topic, taken from another if one is given."""
        self.seconds[topic] = self.seconds.get(topic, 0.0) + seconds
        if source is not None:
            self.seconds[source] = self.seconds.get(source, 0.0) - seconds

    def through(self, reports: Iterable[T]) -> Iterator[T]:
        """Pass the loop's reports on, each with the time that it took."""
        before, told = "", 0.0
        for report in reports:
            kind = type(report).__name__
            self.lap(_OF.get(kind, _OF.get(before, "compute")))
            if kind == "StepReport" and self.first_step is None:
                self.first_step = self._last - self._began
            if kind == "SavedReport":
                if before == "StepReport":  # begun steps ago, said now; or in the lap that told of
                    held = float(getattr(report, "held", 0.0))  # the save before it
                    self.move(max(0.0, held - told), "save", "compute")
                told = self.last
            if kind != "Note":
                before = kind
            yield report
            self.lap("report")
        self.lap(_OF.get(before, "compute"))

    def waits(self, train: Waited, val: Waited) -> None:
        """Tell waits from computing, once the loop is over.

        Args:
            train: What the loop trained on: a loader, or the frozen part's outputs of its images.
            val: The same that it evaluated on.
        """
        for source, topic in ((train, "compute"), (val, "evaluate")):
            images = getattr(source.loader, "loader", None)
            loading = images.seconds if isinstance(images, Waited) else source.seconds
            if topic == "compute":
                self.move(loading, "load", topic)
            if source.seconds > loading:
                self.move(source.seconds - loading, "frozen", topic)

    @property
    def total(self) -> float:
        """Seconds from the beginning to the last lap."""
        return self._last - self._began

    def to_dict(self) -> dict[str, float]:
        """Seconds by topic, in the order of a run, with ``first_step`` and ``total``."""
        found = {t: round(self.seconds[t], 3) for t in TOPICS if self.seconds.get(t)}
        first = {} if self.first_step is None else {"first_step": round(self.first_step, 3)}
        return {**found, **first, "total": round(self.total, 3)}


def process_began() -> float:
    """When this process began, of :func:`time.monotonic`, as exact as the system tells.

    Without ``/proc``, at the moment that its CPU time suggests: no later than the truth minus
    what it waited for.
    """
    now = time.monotonic()
    try:
        since_boot = float(Path("/proc/uptime").read_text().split()[0])
        fields = Path("/proc/self/stat").read_text().rpartition(")")[2].split()
        age = since_boot - int(fields[19]) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError, AttributeError):
        age = time.process_time()
    return now - max(0.0, age)
