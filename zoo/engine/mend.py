"""A run's best weights, looked at again, and written again if they are not whole."""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import replace
from typing import TYPE_CHECKING

from zoo.core import compose
from zoo.core.metadata import WEIGHTS_FILE
from zoo.engine.history import epoch_rows
from zoo.engine.saving import tensorfile
from zoo.engine.saving.checkpoint import read_state, save_weights
from zoo.engine.saving.moment import published
from zoo.engine.saving.repair import best_state, state_after
from zoo.engine.saving.rundir import RunFolder
from zoo.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.core.metadata import CheckpointInfo
    from zoo.engine.result import RunResult
    from zoo.engine.saving.live import Position


def mend(folder: Path, done: RunResult) -> str:
    """Verify a finished run's best weights; write them again from the state of the best epoch.

    The file is the one that training wrote, byte for byte: the state has the tensors and the
    record, the result the metrics.

    Args:
        folder: The run's folder.
        done: Its result.

    Returns:
        What was done, for people; ``""`` if the weights are whole. Of several processes only the
        first looks.

    Raises:
        CheckpointError: They are not whole, and no whole state of the best epoch is kept; or they
            cannot be read.
        BusyError: Another process has the folder.
        DiskError: The file cannot be written.
    """
    path = folder / WEIGHTS_FILE
    if done.best_epoch is None or os.environ.get("RANK", "0") != "0":
        return ""
    wrong = _wrong(path)
    if not wrong:
        return ""
    source = best_state(folder)
    if source is None:
        raise _lost(folder, f"{path} is {wrong}, and the state of epoch {done.best_epoch}, the "
                            "best, is not kept")  # fmt: skip
    try:
        state = read_state(source)
    except CheckpointError as error:
        raise _lost(folder, f"{path} is {wrong}, and {error.message}") from error
    with RunFolder.open(folder) as held:
        weights = published(state.skeleton, state.tensors)
        save_weights(path, weights, _record(state.info, done), staging=held.staging)
        text = f"{WEIGHTS_FILE} was {wrong}, and is written again from checkpoints/{source.name}"
        held.log(text)
    return text


def mend_begun(run: RunFolder, at: Position) -> str:
    """Do the same for a run that goes on; without that state, forget the best epoch.

    The best of the epochs that follow is kept then, so that the run comes to an end.

    Args:
        run: The run's folder.
        at: How far the run is; changed if its best epoch is forgotten.

    Returns:
        What was done, for people; ``""`` if the weights are whole.

    Raises:
        CheckpointError: No epoch follows, or the weights cannot be read.
        DiskError: The file cannot be written.
    """
    wrong = "" if at.best_epoch is None else _wrong(run.path / WEIGHTS_FILE)
    if not wrong:
        return ""
    assert at.best_epoch is not None
    lost = f"{run.path / WEIGHTS_FILE} is {wrong}, and the state of epoch {at.best_epoch + 1}, the best, is"
    source, state = state_after(run.path, at.best_epoch + 1), None
    if source is not None:
        with contextlib.suppress(CheckpointError):
            state = read_state(source)
    if state is None:
        if at.finished:
            raise _lost(run.path, f"{lost} not kept")
        at.best, at.best_epoch, at.waited = None, None, 0
        return f"{lost} not kept: the best of the epochs that follow will be"
    info = replace(state.info, metrics=_measured(run, at.best_epoch))
    weights = published(state.skeleton, state.tensors)
    save_weights(run.path / WEIGHTS_FILE, weights, info, staging=run.staging)
    return f"{WEIGHTS_FILE} was {wrong}, and is written again from checkpoints/{state.path.name}"


def _measured(run: RunFolder, epoch: int) -> dict[str, float]:
    """What an epoch was written down to have reached on the validation images."""
    for row in epoch_rows(run.path):
        if row["epoch"] == epoch and isinstance(row.get("val"), dict):
            return {
                name: value
                for name, value in row["val"].items()
                if isinstance(value, int | float) and math.isfinite(value)
            }
    return {}


def _wrong(path: Path) -> str:
    if not path.is_file():
        return "gone"
    try:
        tensorfile.verify(path)
    except CheckpointError as error:
        if isinstance(error.__cause__, OSError):
            raise
        return "damaged"
    return ""


def _record(info: CheckpointInfo, done: RunResult) -> CheckpointInfo:
    """What travels with the weights, as at the end of the run: metrics, and the proof."""
    if not (done.proof and "proof" in info.freeze):
        return replace(info, metrics=done.to_dict()["metrics"])
    proof = {**info.freeze["proof"], "unchanged": True, "changed": []}
    return replace(info, metrics=done.metrics, freeze={**info.freeze, "proof": proof})


def _lost(folder: Path, text: str) -> CheckpointError:
    verb, _ = compose.read_recipe(folder / "recipe.toml")
    again = f"zoo {verb or 'finetune'} --recipe {folder / 'recipe.toml'} --name {folder.name}-again"
    return CheckpointError(text, hint=f"restore it from a copy, or train again: {again}")
