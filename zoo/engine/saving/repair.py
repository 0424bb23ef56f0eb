"""What brings a damaged or missing file of a run back, told by what lies beside it. No torch."""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING

from zoo.core.metadata import WEIGHTS_FILE, read_header
from zoo.engine.result import RESULT_FILE, read_result
from zoo.errors import CheckpointError

if TYPE_CHECKING:
    from pathlib import Path


def best_state(run: Path) -> Path | None:
    """The state of a finished run's best epoch: it holds what the best weights are made of.

    Args:
        run: The run's folder.

    Returns:
        ``None`` if the run is not finished, or keeps that state no more. The file is not verified.
    """
    done = read_result(run)
    return None if done is None or done.best_epoch is None else state_after(run, done.best_epoch)


def state_after(run: Path, epochs: int) -> Path | None:
    """The state that a run saved when so many epochs were done.

    Args:
        run: The run's folder.
        epochs: How many.

    Returns:
        ``None`` if it is not kept. The file is not verified.
    """
    for path in sorted((run / "checkpoints").glob("step-*.safetensors"), reverse=True):
        with contextlib.suppress(CheckpointError, ValueError, KeyError, TypeError, RecursionError):
            header = read_header(path)
            at = json.loads(header.metadata["state"])["live"]["position"]
            if at["epoch"] == epochs and at["batch"] == 0 and header.info is not None:
                return path
    return None


def way_back(path: Path) -> str:
    """What to do about a damaged or missing checkpoint, as a hint.

    Args:
        path: Its file, in a run's folder or anywhere else.
    """
    run = path.parent
    if path.name == WEIGHTS_FILE and (state := best_state(run)):
        return f"zoo resume {run} writes it again from checkpoints/{state.name}"
    if run.name == "checkpoints" and (run.parent / "recipe.toml").is_file():
        if (run.parent / RESULT_FILE).is_file():
            return "its run is finished and does not need it; restore it from a copy, or delete it"
        return f"zoo resume {run.parent} falls back to the save before it"
    return "restore it from a copy"
