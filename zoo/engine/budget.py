"""The time that a run may train: how much of it is used, and whether another epoch fits into it.

What counts is the loop's own time, saves and evaluations included; reading the data set's list,
downloads and building the model come before it. A resumed run goes on with what was left.
"""

from __future__ import annotations

import math
import time


class Budget:
    """Counts a run's seconds against the most that it may take.

    Args:
        limit: Seconds; ``None`` = no limit, and nothing is counted.
        spent: Seconds that earlier sittings took.
    """

    def __init__(self, limit: float | None, spent: float = 0.0) -> None:
        self.limit = limit
        self._began = time.monotonic() - spent

    @property
    def spent(self) -> float:
        """Seconds until now; 0 without a limit, so that saves of equal runs stay equal."""
        return 0.0 if self.limit is None else time.monotonic() - self._began

    @property
    def left(self) -> float:
        """Seconds from now on; infinite without a limit."""
        return math.inf if self.limit is None else self.limit - self.spent

    def fits(self, seconds: float) -> bool:
        """Whether something that takes so long can be done in time."""
        return seconds <= self.left


def ending(limit: float, done: int, epochs: int, *, batch: int, batches: int) -> str:
    """What to say when a run ends because its time is up.

    Args:
        limit: Seconds it had.
        done: Epochs done, the last one included.
        epochs: Epochs of the recipe.
        batch: Micro-batches of the last epoch that were trained.
        batches: Those that it has.
    """
    whole = done if batch >= batches else done - 1
    said = f"the time ({limit:g} s) is up after {done} of {epochs} epochs"
    if whole < done:
        said += f", the last of them cut short at {batch} of {batches} batches"
    if 0 < whole < epochs:
        said += f"; with --epochs {whole} the learning rate would fall to its end in that time"
    return said
