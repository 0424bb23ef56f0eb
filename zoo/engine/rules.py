"""The numbers that say how a run goes: how long, what is watched, when it is saved."""

from __future__ import annotations

import math
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Literal

from zoo.errors import UsageError

_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0}
MOST_SKIPPED = 10
"""Steps left out one after another before a run gives up."""
MOST_ROLLBACKS = 3
"""Returns to a save before a run gives up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """How long to train, what to watch, when to save.

    Attributes:
        epochs: Passes over the training images.
        seed: Of everything random.
        accumulate: Micro-batches of an optimizer step.
        clip: Largest norm of the gradient.
        monitor: ``top1``, ``top5``, ``loss`` or the name of a further metric.
        goal: Whether more (``max``) or less (``min``) of it is better.
        patience: Stop after this many epochs without a better value.
        on_nan: What to do when the loss is not finite.
        save_steps: Also save after this many optimizer steps.
        save_seconds: Also save after this many seconds.
        max_seconds: End after this many seconds of training.
        go_on: Command that resumes the run, for messages.
        whole: Images of a micro-batch over all processes, which a resumed run has to keep;
            0 = not looked at.
    """

    epochs: int
    seed: int = 0
    accumulate: int = 1
    clip: float | None = None
    monitor: str = "top1"
    goal: Literal["max", "min"] = "max"
    patience: int | None = None
    on_nan: Literal["stop", "skip", "rollback"] = "stop"
    save_steps: int | None = None
    save_seconds: float | None = None
    max_seconds: float | None = None
    go_on: str = ""
    whole: int = 0

    def better(self, value: float, best: float) -> bool:
        """Whether a value of what is watched is better than the best until now."""
        return value < best if self.goal == "min" else value > best

    @property
    def steps(self) -> dict[str, Any]:
        """What a :class:`zoo.engine.step.Stepper` has to know of them."""
        return {"seed": self.seed, "clip": self.clip, "careful": self.on_nan != "stop"}


def parse_every(text: str | None) -> tuple[int | None, float | None]:
    """Read ``200`` (optimizer steps), ``90s``, ``10m`` or ``1h`` as steps and seconds.

    Raises:
        UsageError: It is none of these.
    """
    if text is None:
        return None, None
    seconds = _seconds(text)
    if seconds is not None:
        return None, seconds
    with suppress(ValueError):
        if int(text) > 0:
            return int(text), None
    raise UsageError(
        f"output.save_every: {text!r} is neither a number of steps nor a time",
        hint="200 (steps), 90s, 10m or 1h",
    )


def parse_time(text: str | None) -> float | None:
    """Read ``90s``, ``10m`` or ``1.5h`` as seconds.

    Raises:
        UsageError: It is none of these.
    """
    seconds = None if text is None else _seconds(text)
    if text is not None and seconds is None:
        raise UsageError(f"optim.max_time: {text!r} is no time", hint="90s, 30m or 2h")
    return seconds


def _seconds(text: str) -> float | None:
    """What a number with a unit of time says; ``None`` where it is something else."""
    with suppress(ValueError):
        seconds = float(text[:-1]) * _UNITS.get(text[-1:], math.nan)
        if 0 < seconds < math.inf:
            return seconds
    return None
