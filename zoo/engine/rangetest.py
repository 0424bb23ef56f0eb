"""The learning-rate range test: one short training during which the rate grows step by step.

Leslie Smith, "Cyclical Learning Rates for Training Neural Networks" (2015,
https://arxiv.org/abs/1506.01186). The loss stays where it is while the rate is too small, falls,
and grows again where the rate is too large. The lowest point lies next to the rates that diverge:
half of its rate is suggested, which ``tests/bench/rates.py`` compares with a grid of rates. (What
fastai's finder suggests, a rate half way down, was lower and worse there.)
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from torch.optim.lr_scheduler import LambdaLR

from zoo.engine.loop import fit
from zoo.engine.reports import Note, StepReport
from zoo.engine.schedule import Schedule
from zoo.errors import NumericsError

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from zoo.engine.assemble import Assembly
    from zoo.engine.processes.distributed import World
    from zoo.engine.rules import Rules
    from zoo.engine.saving.live import Live

STEPS: Final = 100
"""Optimizer steps of a range test."""
LEAST: Final = 1e-6
MOST: Final = 10.0
"""The rates that it begins and ends with, if it does not end before."""
DIVERGED: Final = 4.0
"""How many times its lowest the loss may be before the rest is not looked at."""
CONSTANT: Final[dict[str, Any]] = {
    "optim.schedule": "constant", "optim.schedule_options": {}, "optim.warmup": 0.0,
}  # fmt: skip
"""What a recipe says of the schedule while its rate is tested."""
_SMOOTH: Final = 2.5
_DECAY: Final = 0.8
_CLEAR: Final = 4.0


@dataclass(frozen=True, slots=True)
class Tried:
    """One step of a range test.

    Attributes:
        step: From 1.
        steps: Of the whole test, if it does not end before.
        rate: The learning rate that it took.
        loss: Mean training loss per image.
    """

    step: int
    steps: int
    rate: float
    loss: float


@dataclass(frozen=True, slots=True)
class RangeTest:
    """What a range test found.

    Attributes:
        rates: The learning rate of each step.
        losses: Its training loss, mean over the images of the step.
        smooth: The losses, smoothed over neighbouring steps.
        suggestion: A rate to train with; ``None`` if the loss fell at none of them.
        lowest: The rate at which the smoothed loss is lowest.
        diverged: Whether it ended because the loss grew out of bounds.
    """

    rates: tuple[float, ...]
    losses: tuple[float, ...]
    smooth: tuple[float, ...]
    suggestion: float | None
    lowest: float
    diverged: bool

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        return asdict(self)


def find_rate(
    made: Assembly, world: World, *, peak: float
) -> Generator[Note | Tried | RangeTest, None, None]:
    """Make a range test of an assembled run, which is of no use afterwards.

    Args:
        made: Its parts, with a constant rate (:data:`CONSTANT`).
        world: The ranks; the main one gives the reports.
        peak: The recipe's rate.

    Yields:
        What is going to happen, each step, and what was found last.
    """
    if world.main:
        yield Note(
            text=f"{STEPS} steps with learning rates from {LEAST:g} to {MOST:g}; no run is made"
        )
    try:
        for said in range_test(made.live, made.rules, peak=peak, **made.parts(world)):
            if world.main:
                yield said
    finally:
        made.train.close()
        made.val.close()


def range_test(
    live: Live, rules: Rules, *, peak: float, steps: int = STEPS, **parts: Any
) -> Generator[Tried | RangeTest, None, None]:
    """Train with a rate that grows from :data:`LEAST` to :data:`MOST`.

    Args:
        live: What training changes; it is of no use afterwards.
        rules: Those of the run.
        peak: The rate that the optimizer's groups stand for: their own ones keep their ratio to it.
        steps: Optimizer steps, if the loss does not diverge before.
        **parts: What :func:`zoo.engine.loop.fit` takes; nothing is evaluated or saved.

    Yields:
        Each step, and what was found last.

    Raises:
        NumericsError: The first step gives no number, before any rate did anything.
    """
    growth = (MOST / LEAST) ** (1 / (steps - 1))
    inner = LambdaLR(live.optimizer, lambda step: LEAST / peak * growth**step)
    live.schedule = Schedule(live.optimizer, inner)
    rules = replace(
        rules, epochs=steps, monitor="loss", goal="min", patience=None, save_steps=None,
        save_seconds=None, max_seconds=None, on_nan="skip",
    )  # fmt: skip
    rates: list[float] = []
    losses: list[float] = []
    diverged = False
    reports = fit(live, rules, **{**parts, "thaw": lambda _epoch: False})
    try:
        for report in reports:
            if isinstance(report, StepReport):
                taken, rate = report.step, LEAST * growth ** (report.step - 1)
                if report.n:  # else all its images were left out
                    rates.append(rate)
                    losses.append(report.loss)
                    yield Tried(step=taken, steps=steps, rate=rate, loss=report.loss)
                    diverged = report.skipped or _diverged(losses)
                    if report.skipped and len(losses) == 1:
                        raise _hopeless(report.loss)
                if diverged or taken == steps:
                    break
    finally:
        reports.close()
    if not losses:
        raise _hopeless(math.nan)
    yield read(rates, losses, diverged=diverged)


def _hopeless(loss: float) -> NumericsError:
    said = "its gradient is not finite" if math.isfinite(loss) else f"the loss is {loss}"
    error = NumericsError(
        f"{said} at the first step, before any learning rate did anything",
        hint="look at the weights, the loss and the images: zoo doctor DATA",
    )
    error.everywhere = True
    return error


def _diverged(losses: Sequence[float]) -> bool:
    """Whether the loss is no number, or, over the last steps, far above its lowest."""
    if not math.isfinite(losses[-1]):
        return True
    mean, weight, lowest = 0.0, 0.0, math.inf
    for loss in losses:
        mean, weight = _DECAY * mean + (1 - _DECAY) * loss, _DECAY * weight + 1 - _DECAY
        lowest = min(lowest, mean / weight)
    return mean / weight > lowest + (DIVERGED - 1) * abs(lowest)  # some losses fall below zero


def read(rates: Sequence[float], losses: Sequence[float], *, diverged: bool) -> RangeTest:
    """Read a curve.

    Args:
        rates: Growing by one factor.
        losses: As many; only the last may be no number.
        diverged: Whether the curve was cut off where it grew out of bounds.
    """
    finite = [loss for loss in losses if math.isfinite(loss)]
    smooth = _smoothed(finite)
    low = min(range(len(smooth)), key=smooth.__getitem__)
    fall = max(smooth[: low + 1]) - smooth[low]
    clear = fall > _CLEAR * _noise(finite, smooth)
    return RangeTest(
        rates=tuple(rates[: len(finite)]),
        losses=tuple(finite),
        smooth=tuple(smooth),
        suggestion=float(f"{rates[low] / 2:.2g}") if clear else None,
        lowest=rates[low],
        diverged=diverged,
    )


def _smoothed(losses: Sequence[float]) -> list[float]:
    """A mean over neighbours that weighs near ones more (Gaussian), without delay."""
    reach = math.ceil(3 * _SMOOTH)
    weights = [math.exp(-0.5 * (offset / _SMOOTH) ** 2) for offset in range(reach + 1)]
    found = []
    for here in range(len(losses)):
        near = range(max(0, here - reach), min(len(losses), here + reach + 1))
        total = math.fsum(weights[abs(k - here)] for k in near)
        found.append(math.fsum(weights[abs(k - here)] * losses[k] for k in near) / total)
    return found


def _noise(losses: Sequence[float], smooth: Sequence[float]) -> float:
    """By how much single steps scatter about the smoothed curve (median)."""
    apart = sorted(abs(one - mean) for one, mean in zip(losses, smooth, strict=True))
    return apart[len(apart) // 2]
