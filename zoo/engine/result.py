"""What a run gives back, and how it is written down."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import msgspec

RESULT_FILE = "result.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunResult:
    """A finished run.

    Attributes:
        name: Its name.
        dir: Its folder.
        weights: The best weights, safetensors.
        epochs: Epochs trained.
        step: Optimizer steps taken.
        best_epoch: The epoch of the best weights, from 1; ``None`` if the monitored metric was never
            finite: then they are the last epoch's.
        metrics: Of that epoch on the validation images, shares between 0 and 1.
        monitor: The metric that says what is best.
        classes: Number of classes.
        seconds: Of training and evaluating, all sittings together if resumed counts the last.
        freeze: The printed freeze plan, or empty.
        proof: The freeze proof's line, or empty.
        stopped_early: Whether patience or the time ended it.
        timings: Seconds by topic (:data:`zoo.engine.timings.TOPICS`), until the first step, and in
            all; of the last sitting.
    """

    name: str
    dir: Path
    weights: Path
    epochs: int
    step: int
    best_epoch: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    monitor: str = "top1"
    classes: int = 0
    seconds: float = 0.0
    freeze: str = ""
    proof: str = ""
    stopped_early: bool = False
    timings: dict[str, float] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        counted = {k: int(v) if k == "n" else v for k, v in self.metrics.items()}
        paths = {"dir": str(self.dir), "weights": str(self.weights)}
        return {**asdict(self), **paths, "metrics": counted}

    def lines(self) -> list[tuple[str, str]]:
        """What to say at the end, topic by topic: numbers, proof, where everything lies."""
        shown = ("top1", "top5") if not 0 < self.classes <= 5 else ("top1",)
        shares = [f"{k} {100 * v:.2f} %" for k, v in self.metrics.items() if k in shown]
        loss = f"loss {self.metrics['loss']:.4f}" if "loss" in self.metrics else ""
        more = [
            f"{name} {value:.4f}"
            for name, value in self.metrics.items()
            if name not in ("n", "loss", "top1", "top5") and "/" not in name
        ]
        n = f"on {int(self.metrics['n']):,} images" if "n" in self.metrics else ""
        best = ", ".join(filter(None, [*shares, loss, *more]))
        early = " (stopped early)" if self.stopped_early else ""
        which, epoch, why = "best", self.best_epoch, ""
        if epoch is None:
            which, epoch = "last", self.epochs
            why = f"; {self.monitor} was never a finite number, so no epoch is the best"
        return [
            (which, f"epoch {epoch} of {self.epochs}{early}: {best} {n}".rstrip() + why),
            ("proof", self.proof),
            ("run", f"{self.dir}/"),
            ("weights", str(self.weights)),
            ("next", f"zoo predict {self.dir} IMAGE   zoo eval {self.dir}   zoo export {self.dir}"),
        ]

    def write(self) -> str:
        """As JSON text for :data:`RESULT_FILE`; paths are relative to the run."""
        table = self.to_dict() | {"dir": ".", "weights": self.weights.name}
        return json.dumps(table, indent=2) + "\n"


def read_result(folder: Path) -> RunResult | None:
    """The result of a finished run; ``None`` if it is not finished."""
    try:
        table = json.loads((folder / RESULT_FILE).read_text("utf-8"))
        table |= {"dir": str(folder), "weights": str(folder / table["weights"])}
        return msgspec.convert(table, RunResult, dec_hook=lambda kind, value: kind(value))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return None
