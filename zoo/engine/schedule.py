"""The learning rate over a run: linear warm-up, then a named schedule."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from torch.optim.lr_scheduler import ReduceLROnPlateau

if TYPE_CHECKING:
    from torch.optim import Optimizer


class Schedule:
    """Warm-up per optimizer step, then the inner schedule, per step or per epoch.

    Args:
        optimizer: Its groups' present rates are the peaks of the warm-up.
        inner: A scheduler with torch's interface over the same optimizer; ``None`` = constant.
        warmup: Optimizer steps of linear warm-up; the first step has ``1 / warmup`` of the rate.
        per_epoch: The inner schedule counts epochs, not optimizer steps.
    """

    def __init__(
        self, optimizer: Optimizer, inner: Any = None, *, warmup: int = 0, per_epoch: bool = False
    ) -> None:
        self.optimizer = optimizer
        self.inner = inner
        self.warmup = warmup
        self.per_epoch = per_epoch
        self.scale = 1.0
        self.done = 0
        self._plain = [float(group["lr"]) for group in optimizer.param_groups]
        self._apply()

    @property
    def rates(self) -> tuple[float, ...]:
        """The learning rate of each group, as the next step will use it."""
        return tuple(float(group["lr"]) for group in self.optimizer.param_groups)

    def step(self) -> None:
        """Count an optimizer step."""
        self.done += 1
        if self.done > self.warmup and not self.per_epoch:
            self._advance()
        self._apply()

    def epoch(self, loss: float) -> None:
        """Count an epoch; ``loss`` is the monitored loss, for schedules that look at it."""
        if self.done > self.warmup and self.per_epoch:
            self._advance(loss)
        self._apply()

    def slow_down(self, scale: float) -> None:
        """From here on, every rate is ``scale`` times what it would be."""
        self.scale = scale
        self._apply()

    def _advance(self, loss: float | None = None) -> None:
        if self.inner is None:
            return
        self._write(self._plain)
        with warnings.catch_warnings():  # a skipped first step is no mistake in the order
            warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step")
            if isinstance(self.inner, ReduceLROnPlateau):
                self.inner.step(loss if loss is not None else float("inf"))
            else:
                self.inner.step()
        self._plain = list(self.rates)

    def _apply(self) -> None:
        ramp = min(1.0, (self.done + 1) / self.warmup) if self.warmup else 1.0
        self._write([rate * (self.scale * ramp) for rate in self._plain])

    def _write(self, rates: list[float]) -> None:
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            if hasattr(group["lr"], "fill_"):
                group["lr"].fill_(rate)
            else:
                group["lr"] = rate

    def state_dict(self) -> dict[str, Any]:
        """Everything that changes."""
        inner = None if self.inner is None else self.inner.state_dict()
        return {"done": self.done, "scale": self.scale, "plain": self._plain, "inner": inner}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Go on from a saved place; the optimizer's own state is loaded separately."""
        self.done, self.scale, self._plain = state["done"], state["scale"], list(state["plain"])
        if self.inner is not None and state["inner"] is not None:
            self.inner.load_state_dict(state["inner"])
        self._apply()
