"""A finished run's best weights, looked at again, and written again if they are not whole."""

from __future__ import annotations

import os
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zoo.core import compose
from zoo.engine.saving import tensorfile
from zoo.engine.saving.checkpoint import read_state, save_weights
from zoo.engine.saving.keeper import BEST
from zoo.engine.saving.repair import best_state
from zoo.engine.saving.rundir import RunFolder
from zoo.engine.saving.state import unpack
from zoo.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.core.metadata import CheckpointInfo
    from zoo.engine.result import RunResult


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
    path = folder / BEST
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
    tensors: dict[str, Any] = unpack(
        state.skeleton["ema"] or state.skeleton["model"], state.tensors
    )
    with RunFolder.open(folder) as held:
        save_weights(path, tensors, _record(state.info, done), staging=held.staging)
        text = f"{BEST} was {wrong}, and is written again from checkpoints/{source.name}"
        held.log(text)
    return text


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
