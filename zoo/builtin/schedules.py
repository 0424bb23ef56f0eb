"""Learning-rate schedules by name: each gives one of torch's schedulers over ``total`` steps.

Most are closed formulas: a factor of the group's own peak rate as a function of how many of the
``total`` steps are done, so rates that differ by group keep their ratio and a resumed run has the
same rates to the digit. Positions in a run are fractions of it, since a schedule is asked for
before anybody knows how many steps an epoch has. Warm-up is the engine's and comes before.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch.optim.lr_scheduler import LambdaLR, OneCycleLR, ReduceLROnPlateau

from zoo.plugin import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from torch.optim import Optimizer


def _scaled(optimizer: Optimizer, total: int, factor: Callable[[float], float]) -> LambdaLR:
    """Scale each group's rate by ``factor`` of the fraction of the run that is done."""
    if total < 1:
        raise UsageError(f"a schedule needs at least one step, not {total}")
    return LambdaLR(optimizer, lambda step: factor(min(step / total, 1.0)))


def _share(name: str, value: float, *, zero: bool = True) -> float:
    if not (0.0 <= value <= 1.0) or (value == 0.0 and not zero):
        raise UsageError(
            f"{name} of the schedule lies in {'[' if zero else '('}0, 1], not {value}",
            hint=f"--set optim.schedule_options.{name}=0.1",
        )
    return value


def constant(optimizer: Optimizer, *, total: int) -> LambdaLR:
    """The same rate from start to end."""
    return _scaled(optimizer, total, lambda _: 1.0)


def cosine(optimizer: Optimizer, *, total: int, final: float = 0.0) -> LambdaLR:
    """Half a cosine from the peak down.

    Args:
        optimizer: Its groups' rates are the peaks.
        total: Steps.
        final: Rate at the end, as a share of the peak.
    """
    _share("final", final)
    return _scaled(
        optimizer, total, lambda done: final + (1 - final) * (1 + math.cos(math.pi * done)) / 2
    )


def cosine_restarts(
    optimizer: Optimizer, *, total: int, cycles: int = 3, final: float = 0.0
) -> LambdaLR:
    """Several half cosines, each from the peak down.

    Args:
        optimizer: Its groups' rates are the peaks.
        total: Steps.
        cycles: Number of half cosines, equally long.
        final: Rate at the end of each, as a share of the peak.

    Raises:
        UsageError: Fewer than one cycle, or a share outside of 0 to 1.
    """
    _share("final", final)
    if cycles < 1:
        raise UsageError(f"cycles of the schedule is at least 1, not {cycles}")

    def factor(done: float) -> float:
        place = done * cycles % 1.0 if done < 1.0 else 1.0
        return final + (1 - final) * (1 + math.cos(math.pi * place)) / 2

    return _scaled(optimizer, total, factor)


def linear(optimizer: Optimizer, *, total: int, final: float = 0.0) -> LambdaLR:
    """A straight line from the peak to ``final`` times the peak."""
    _share("final", final)
    return _scaled(optimizer, total, lambda done: 1 - (1 - final) * done)


def polynomial(
    optimizer: Optimizer, *, total: int, power: float = 0.9, final: float = 0.0
) -> LambdaLR:
    """``(1 - done) ** power`` from the peak to ``final`` times the peak.

    Raises:
        UsageError: ``power`` is not above 0, or a share outside of 0 to 1.
    """
    _share("final", final)
    if power <= 0:
        raise UsageError(f"power of the schedule is above 0, not {power}")
    return _scaled(optimizer, total, lambda done: final + (1 - final) * (1 - done) ** power)


def exponential(optimizer: Optimizer, *, total: int, final: float = 0.01) -> LambdaLR:
    """The same factor at every step, so that the rate ends at ``final`` times the peak."""
    _share("final", final, zero=False)
    return _scaled(optimizer, total, lambda done: final**done)


def inverse_sqrt(optimizer: Optimizer, *, total: int, final: float = 0.1) -> LambdaLR:
    """``1 / sqrt(1 + c * done)``, with c such that the rate ends at ``final`` times the peak."""
    _share("final", final, zero=False)
    slope = final**-2 - 1
    return _scaled(optimizer, total, lambda done: (1 + slope * done) ** -0.5)


def step(optimizer: Optimizer, *, total: int, drops: int = 2, gamma: float = 0.1) -> LambdaLR:
    """Equal stairs: the rate is multiplied by ``gamma`` at ``drops`` equally spaced moments.

    Raises:
        UsageError: ``drops`` is negative.
    """
    if drops < 0:
        raise UsageError(f"drops of the schedule is at least 0, not {drops}")
    return multistep(
        optimizer,
        total=total,
        milestones=[number / (drops + 1) for number in range(1, drops + 1)],
        gamma=gamma,
    )


def multistep(
    optimizer: Optimizer,
    *,
    total: int,
    milestones: Sequence[float] = (0.5, 0.75),
    gamma: float = 0.1,
) -> LambdaLR:
    """Stairs: the rate is multiplied by ``gamma`` at each of the ``milestones``.

    Args:
        optimizer: Its groups' rates are the peaks.
        total: Steps.
        milestones: Fractions of the run, in rising order.
        gamma: Factor at each.

    Raises:
        UsageError: The milestones do not rise from 0 to 1.
    """
    marks = [_share("milestones", mark) for mark in milestones]
    if marks != sorted(marks):
        raise UsageError(f"milestones of the schedule rise, unlike {list(milestones)}")
    steps = [math.ceil(mark * total - 1e-9) for mark in marks]
    return LambdaLR(optimizer, lambda now: gamma ** sum(now >= mark for mark in steps))


def stable_decay(
    optimizer: Optimizer, *, total: int, decay: float = 0.2, final: float = 0.0
) -> LambdaLR:
    """The peak for most of the run, then a straight line down over the last ``decay`` of it."""
    _share("final", final)
    _share("decay", decay, zero=False)
    return _scaled(
        optimizer,
        total,
        lambda done: 1 - (1 - final) * max(0.0, done - (1 - decay)) / decay,
    )


def one_cycle(
    optimizer: Optimizer,
    *,
    total: int,
    pct_start: float = 0.3,
    anneal_strategy: str = "cos",
    cycle_momentum: bool = True,
    base_momentum: float = 0.85,
    max_momentum: float = 0.95,
    div_factor: float = 25.0,
    final_div_factor: float = 1e4,
    three_phase: bool = False,
) -> OneCycleLR:
    """Up to the peak over the first ``pct_start`` of the run, then far below the start.

    Args:
        optimizer: Its groups' rates are the peaks.
        total: Steps.
        pct_start: Share of the run that rises.
        anneal_strategy: ``cos`` or ``linear``.
        cycle_momentum: Move the momentum the other way, where the optimizer has one.
        base_momentum: Momentum at the peak.
        max_momentum: Momentum at both ends.
        div_factor: The peak divided by the first rate.
        final_div_factor: The first rate divided by the last.
        three_phase: Come down to the first rate symmetrically before the last descent.

    Raises:
        UsageError: ``anneal_strategy`` is neither.
    """
    if anneal_strategy not in ("cos", "linear"):
        raise UsageError(f"anneal_strategy is cos or linear, not {anneal_strategy!r}")
    has_momentum = "momentum" in optimizer.defaults or "betas" in optimizer.defaults
    return OneCycleLR(
        optimizer,
        max_lr=[float(group["lr"]) for group in optimizer.param_groups],
        total_steps=total + 1,  # torch counts the rate before the first step too
        pct_start=_share("pct_start", pct_start),
        anneal_strategy="cos" if anneal_strategy == "cos" else "linear",
        cycle_momentum=cycle_momentum and has_momentum,
        base_momentum=base_momentum,
        max_momentum=max_momentum,
        div_factor=div_factor,
        final_div_factor=final_div_factor,
        three_phase=three_phase,
    )


def plateau(
    optimizer: Optimizer,
    *,
    total: int,
    factor: float = 0.1,
    patience: int = 10,
    threshold: float = 1e-4,
    cooldown: int = 0,
    min_lr: float = 0.0,
) -> ReduceLROnPlateau:
    """The rate falls by ``factor`` when the loss has not fallen for ``patience`` epochs."""
    del total  # it ends when the run does
    return ReduceLROnPlateau(
        optimizer,
        factor=factor,
        patience=patience,
        threshold=threshold,
        cooldown=cooldown,
        min_lr=min_lr,
    )
