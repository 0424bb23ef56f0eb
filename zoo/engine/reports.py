"""What the loop says: one record per optimizer step, epoch, save or remark."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo.engine.evaluate import Evaluation


@dataclass(frozen=True, slots=True, kw_only=True)
class StepReport:
    """One optimizer step, over all ranks.

    Attributes:
        epoch: From 0.
        step: Optimizer steps done, this one included.
        steps: Optimizer steps of the whole run.
        batch: Micro-batches of the epoch done.
        batches: Micro-batches of an epoch.
        n: Images of this step.
        loss: Mean loss per image of this step.
        top1: Share of hits in this step; ``None`` without class targets.
        top5: Share of hits among the five largest.
        lr: Largest learning rate that this step used.
        grad_norm: Norm of the gradient before clipping; ``None`` without clipping.
        skipped: Whether the update was left out because the loss was not finite.
        images_per_second: Since the run (re)started, over all ranks.
        eta: Seconds that the rest of the training will take.
    """

    epoch: int
    step: int
    steps: int
    batch: int
    batches: int
    n: int
    loss: float
    top1: float | None
    top5: float | None
    lr: float
    grad_norm: float | None = None
    skipped: bool = False
    images_per_second: float = 0.0
    eta: float = 0.0

    def row(self) -> dict[str, Any]:
        """As a line of ``metrics.jsonl``."""
        found: dict[str, Any] = {"kind": "step", "epoch": self.epoch, "step": self.step}
        found |= {"n": self.n, "loss": _plain(self.loss), "lr": self.lr}
        if self.top1 is not None:
            found |= {"top1": self.top1, "top5": self.top5}
        if self.grad_norm is not None:
            found["grad_norm"] = _plain(self.grad_norm)
        if self.skipped:
            found["skipped"] = True
        return found | {"images_per_second": round(self.images_per_second, 2)}


@dataclass(frozen=True, slots=True, kw_only=True)
class EpochReport:
    """One epoch, trained and evaluated.

    Attributes:
        epoch: From 0.
        epochs: Of the whole run.
        step: Optimizer steps done.
        n: Images trained on.
        loss: Mean training loss per image.
        top1: Share of hits while training; ``None`` without class targets.
        top5: Share of hits among the five largest.
        lr: Largest learning rate at the epoch's end.
        val: On the validation set; ``None`` if there is none.
        value: The monitored value; ``None`` if it is not finite.
        best: Whether it is the best so far.
        waited: Epochs since the best.
        seconds: Of training and evaluation, since the epoch's (re)start.
    """

    epoch: int
    epochs: int
    step: int
    n: int
    loss: float
    top1: float | None
    top5: float | None
    lr: float
    val: Evaluation | None
    value: float | None
    best: bool
    waited: int
    seconds: float

    def row(self) -> dict[str, Any]:
        """As a line of ``metrics.jsonl``."""
        train: dict[str, Any] = {"n": self.n, "loss": _plain(self.loss)}
        if self.top1 is not None:
            train |= {"top1": self.top1, "top5": self.top5}
        val = (
            {key: _plain(value) for key, value in self.val.to_dict().items()} if self.val else None
        )
        return {
            "kind": "epoch",
            "epoch": self.epoch,
            "step": self.step,
            "train": train,
            "val": val,
            "lr": self.lr,
            "best": self.best,
            "seconds": round(self.seconds, 3),
        }

    def scalars(self) -> dict[str, float]:
        """The numbers by name, as experiment trackers take them."""
        found = {"train/loss": self.loss, "lr": self.lr}
        if self.top1 is not None:
            found["train/top1"] = self.top1
        if self.val is not None:
            found |= {f"val/{key}": value for key, value in self.val.to_dict().items()}
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedReport:
    """A state was saved: it is on the disk, and reads back.

    Attributes:
        path: The file.
        step: Optimizer steps done.
        epoch: Epochs done.
        reason: ``epoch``, ``interval``, ``stop`` or ``error``.
        seconds: From the wish to the last byte on the disk, most of them beside the training.
        held: Seconds of those for which the training stood still: a copy to host memory, and
            where the save before was not done, the wait for it.
        best: Whether ``model.safetensors`` was replaced, too.
    """

    path: Path
    step: int
    epoch: int
    reason: str
    seconds: float
    held: float = 0.0
    best: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Note:
    """Something that people should know, said once.

    Attributes:
        text: One line.
    """

    text: str


Report = StepReport | EpochReport | SavedReport | Note
"""Anything that :func:`zoo.engine.loop.fit` yields."""


def _plain(value: float) -> float | str:
    """JSON has no NaN; say it as text."""
    return value if abs(value) < float("inf") else str(value)
