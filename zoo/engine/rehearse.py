"""A rehearsal: does a resumed run of exactly these parts give the same bits?

A few steps are trained, saved to a file, and trained on; then that file is read and the steps after
it are trained again. A transform, a loss or a model
that draws from a generator of its own, or an operation that is not deterministic here, shows as a
difference before hours depend on it. Afterwards everything is as it was before.
"""

from __future__ import annotations

import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from zoo.core.metadata import CheckpointInfo
from zoo.engine.loop import fit
from zoo.engine.reports import Note, StepReport
from zoo.engine.saving.checkpoint import read_state, save_state
from zoo.engine.saving.moment import HostCopy
from zoo.errors import VerificationError

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.engine.rules import Rules
    from zoo.engine.saving.live import Live

Snapshot = tuple[dict[str, "Tensor"], dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a rehearsal found.

    Attributes:
        steps: Optimizer steps after the imagined stop.
        compared: Tensors that were compared.
        differing: Names of those that differ in at least one bit.
        loss: Whether the losses of the steps differ.
    """

    steps: int
    compared: int
    differing: tuple[str, ...] = ()
    loss: bool = False

    @property
    def exact(self) -> bool:
        """Whether every bit was the same."""
        return not self.differing and not self.loss

    def line(self) -> str:
        """One line for people."""
        if self.exact:
            return (
                f"resuming is exact: {self.steps} steps repeated from a save gave the same bits "
                f"in all {self.compared} tensors"
            )
        where = "the losses already differ" if self.loss else "the losses are equal"
        return (
            f"resuming is not exact: {len(self.differing)} of {self.compared} tensors differ after "
            f"{self.steps} steps ({', '.join(self.differing[:2])}); {where}"
        )


def rehearse(live: Live, rules: Rules, *, steps: int = 2, **parts: Any) -> Rehearsal:
    """Train some steps, save, train some more; go back to the save and train those again.

    The save is a real one: a file as a run writes it, in the system's folder for temporary files.

    Args:
        live: What training changes; is afterwards as it was.
        rules: Those of the run.
        steps: Optimizer steps before and after the stop.
        **parts: What :func:`zoo.engine.loop.fit` takes: ``train``, ``loss``, ``feed``, ``place``,
            ``hold``, ``thaw``, ``cut``, ``world``; nothing is evaluated.

    Raises:
        DiskError: There is no room for the save.
    """
    rules = replace(rules, monitor="loss", goal="min", patience=None, save_steps=None)
    rules = replace(rules, save_seconds=None, max_seconds=None, on_nan="skip")
    start = _snapshot(live)
    try:
        _train(live, rules, steps, parts)
        with tempfile.TemporaryDirectory(prefix="zoo-rehearsal-") as folder:
            path = Path(folder) / "state.safetensors"
            save_state(path, HostCopy().take(live), CheckpointInfo(model="rehearsal"))
            first_losses = _train(live, rules, steps, parts)
            first = _snapshot(live)
            saved = read_state(path)
        live.restore(saved.tensors, saved.skeleton)
        second_losses = _train(live, rules, steps, parts)
        second = _snapshot(live)
    finally:
        live.restore(*start)
    names = [name for name in first[0] if not _same(first[0][name], second[0].get(name))]
    names += [] if first[1] == second[1] else ["counters"]
    return Rehearsal(
        steps=len(first_losses),
        compared=len(first[0]),
        differing=tuple(names),
        loss=first_losses != second_losses,
    )


def require_exact(live: Live, rules: Rules, **parts: Any) -> Note:
    """Rehearse, and refuse to start a run that could not be resumed exactly.

    Args:
        live: What training changes; is afterwards as it was.
        rules: Those of the run.
        **parts: As :func:`rehearse`.

    Raises:
        VerificationError: Not every bit was the same.
    """
    found = rehearse(live, rules, **parts)
    if not found.exact:
        raise VerificationError(
            found.line(),
            hint="--deterministic may help; else a transform or loss keeps random numbers itself",
        )
    return Note(text=found.line())


def _snapshot(live: Live) -> Snapshot:
    tensors, skeleton = live.capture()
    return {name: tensor.clone() for name, tensor in tensors.items()}, skeleton


def _train(live: Live, rules: Rules, steps: int, parts: dict[str, Any]) -> list[str]:
    losses: list[str] = []
    reports = fit(live, rules, **parts)
    try:
        for report in reports:
            if isinstance(report, StepReport):
                losses.append(repr(report.loss))
            if len(losses) == steps:
                break
    finally:
        _close(reports)
    return losses


def _close(reports: Any) -> None:
    reports.close()


def _same(one: Tensor, other: Tensor | None) -> bool:
    if other is None or one.shape != other.shape or one.dtype != other.dtype:
        return False
    flat, again = (t.contiguous().reshape(-1).view(torch.uint8) for t in (one, other))
    return torch.equal(flat, again)
