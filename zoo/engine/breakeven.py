"""Whether compiling pays: what it takes once against what it saves in each step."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, Self

from zoo.engine.loop import fit
from zoo.engine.reports import EpochReport, StepReport

if TYPE_CHECKING:
    from zoo.engine.rules import Rules
    from zoo.engine.saving.live import Live

GUESS_SECONDS: Final = 30.0
GUESS_SAVED: Final = 0.2
"""What compiling is guessed to take and to save before anybody measured it (see speed.md)."""
_STEPS, _TRIED = 3, 6


class BreakEven:
    """Compares steps as they were before compiling with those after.

    Args:
        eager: Seconds of a step that is not compiled.
        steps: Steps of the run.
    """

    def __init__(self, eager: float, steps: int) -> None:
        self.eager, self.steps = eager, steps
        self._taken: list[float] = []
        self._said = False

    @classmethod
    def measure(cls, live: Live, rules: Rules, **parts: Any) -> Self:
        """Take a few steps without compiling; afterwards everything is as it was.

        Args:
            live: What training changes.
            rules: Those of the run.
            **parts: What :func:`zoo.engine.loop.fit` takes, ``place`` among it.
        """
        brief = replace(rules, monitor="loss", goal="min", patience=None, save_steps=None)
        brief = replace(brief, save_seconds=None, max_seconds=None, on_nan="skip")
        parts = {**parts, "place": replace(parts["place"], compile=False)}
        tensors, skeleton = live.capture()
        kept = {name: tensor.clone() for name, tensor in tensors.items()}, skeleton
        taken: list[float] = []
        steps = rules.epochs * math.ceil(parts["train"].batches_per_epoch / rules.accumulate)
        reports = fit(live, brief, **parts)
        try:
            began = time.monotonic()
            for report in reports:
                if isinstance(report, StepReport):
                    now = time.monotonic()
                    taken.append(now - began)
                    began = now
                if len(taken) == _TRIED or isinstance(report, EpochReport):
                    break
        finally:
            reports.close()
            live.restore(*kept)
        return cls(statistics.median(taken[1:] or taken), steps)  # as the others are judged

    def line(self) -> str:
        """What to expect, before anything is compiled: an estimate, said as such."""
        pays = math.ceil(GUESS_SECONDS / max(GUESS_SAVED * self.eager, 1e-9))
        return (
            f"a step takes {self.eager:.3f} s uncompiled; if compiling takes {GUESS_SECONDS:.0f} s "
            f"and saves {100 * GUESS_SAVED:.0f} % (estimates), it pays after {pays:,} steps; this "
            f"run has {self.steps:,}"
        )

    def see(self, report: object, seconds: float) -> str:
        """Look at a report of the loop.

        Args:
            report: Any.
            seconds: That it took.

        Returns:
            What was measured, once, after the first epoch; else empty.
        """
        if isinstance(report, StepReport):
            self._taken.append(seconds)
        if not isinstance(report, EpochReport) or self._said or len(self._taken) < _STEPS:
            return ""
        self._said = True
        step = statistics.median_low(self._taken[1:])  # a last batch's shape is compiled, too
        spent, saved = sum(self._taken) - step * len(self._taken), self.eager - step
        said = f"compiling took {spent:.1f} s; a step takes {step:.3f} s, uncompiled {self.eager:.3f} s"
        if saved <= 0:
            return f"{said}: it does not pay (leave --compile out)"
        pays = math.ceil(spent / saved)
        return f"{said}: it pays after {pays:,} steps, this run has {self.steps:,}"
