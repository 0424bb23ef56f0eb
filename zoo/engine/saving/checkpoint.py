"""Checkpoints: the weights of a model for the world, and the whole state of a run for resuming.

A state is ONE file, ``checkpoints/step-00001234.safetensors``: model, averaged copy, optimizer,
schedule and counters, so a mixture of two moments cannot exist. Which one is newest is found by
looking, and believed only after its digest was recomputed; there is no pointer to trust.
"""

from __future__ import annotations

import contextlib
import json
import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.core.metadata import CheckpointInfo, dumps
from zoo.engine.saving import tensorfile
from zoo.engine.saving.live import Live, Position, position_of
from zoo.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.core.metadata import Header
    from zoo.engine.saving.moment import Moment

STATE_FORMAT = 1
_NAME = re.compile(r"step-(\d{8,})\.safetensors")


def save_weights(
    path: Path,
    tensors: Mapping[str, Any],
    info: CheckpointInfo,
    *,
    staging: Path | None = None,
) -> str:
    """Write weights that any safetensors reader can open, atomically, with their digest.

    Args:
        path: The file to make or replace.
        tensors: A model's ``state_dict()``; entries that are not tensors are left out.
        info: What travels with them.
        staging: Folder for the unfinished file, on the same file system; default: beside it.

    Returns:
        The digest, 64 hexadecimal digits.

    Raises:
        DiskError: The system refused; ``path`` is as it was.
    """
    only = {name: value for name, value in tensors.items() if isinstance(value, torch.Tensor)}
    return tensorfile.write(path, only, {"zoo": dumps(info)}, staging=staging)


def load_weights(
    path: Path, *, verify: bool = True
) -> tuple[dict[str, Tensor], CheckpointInfo | None]:
    """Read weights to the CPU, and what travels with them.

    Args:
        path: A safetensors file of anybody's. Of a run's state file, the model's weights.
        verify: Recompute the digest, where the file states one.

    Returns:
        Tensors by name, and zoo's record or ``None`` if the file is not from zoo.

    Raises:
        CheckpointError: It is missing, foreign or damaged.
    """
    tensors, header = tensorfile.read(path, check=verify)
    if "state" in header.metadata:
        part = "ema/" if any(name.startswith("ema/") for name in tensors) else "model/"
        tensors = {
            name.removeprefix(part): value
            for name, value in tensors.items()
            if name.startswith(part)
        }
    return tensors, header.info


def save_state(
    path: Path,
    moment: Moment,
    info: CheckpointInfo,
    *,
    environment: Mapping[str, Any] | None = None,
    staging: Path | None = None,
) -> str:
    """Write the whole state of a run to one file, atomically, with its digest.

    Args:
        path: See :func:`state_path`.
        moment: The state.
        info: What travels with it; epoch and step are the moment's.
        environment: What must be equal for the same bits, to be compared when resuming.
        staging: Folder for the unfinished file, on the same file system; default: beside it.

    Returns:
        The digest, 64 hexadecimal digits.

    Raises:
        DiskError: The system refused; ``path`` is as it was.
        TypeError: A tensor is of a kind that safetensors does not have.
    """
    state = {"format": STATE_FORMAT, "environment": dict(environment or {})}
    metadata = {
        "zoo": dumps(replace(info, epoch=moment.epoch, step=moment.step)),
        "state": json.dumps(
            {**state, "live": moment.skeleton}, separators=(",", ":"), allow_nan=False
        ),
    }
    return tensorfile.write(path, moment.tensors, metadata, staging=staging)


@dataclass(frozen=True, slots=True)
class State:
    """A saved state, read.

    Attributes:
        path: Where it lies.
        tensors: Flat tensors, on the CPU.
        skeleton: What :meth:`zoo.engine.saving.live.Live.restore` takes.
        environment: What it was written under.
        info: What travels with it.
    """

    path: Path
    tensors: dict[str, Tensor]
    skeleton: dict[str, Any]
    environment: dict[str, Any]
    info: CheckpointInfo

    @property
    def step(self) -> int:
        """Optimizer steps done."""
        return self.info.step

    def position(self) -> Position:
        """How far the run was.

        Raises:
            CheckpointError: It says so in no way that is known.
        """
        return position_of(self.tensors, self.skeleton)

    def restore(self, live: Live) -> None:
        """Put the state into live objects.

        Raises:
            CheckpointError: It does not fit them.
        """
        live.restore(self.tensors, self.skeleton)


def read_state(path: Path) -> State:
    """Read a state and verify its digest.

    Raises:
        CheckpointError: It is missing, foreign, damaged, written by a newer zoo, or is weights
            only.
    """
    header = tensorfile.verify(path)
    skeleton, environment, info = _parse(path, header)
    tensors, _ = tensorfile.read(path, check=False)
    return State(path, tensors, skeleton, environment, info)


def _parse(path: Path, header: Header) -> tuple[dict[str, Any], dict[str, Any], CheckpointInfo]:
    info = header.info
    if info is None or "state" not in header.metadata:
        raise CheckpointError(
            f"{path} holds weights only, not the state of a run",
            hint=f"start from them with --weights file:{path}",
        )
    try:
        state = json.loads(header.metadata["state"])
        version, skeleton, environment = state["format"], state["live"], state["environment"]
        if not (type(version) is int and isinstance(skeleton, dict) and type(environment) is dict):
            raise TypeError("it is not what zoo writes")
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise CheckpointError(f"{path}: the saved state is damaged: {error}") from error
    if version > STATE_FORMAT:
        raise CheckpointError(
            f"{path}: state format {version} is newer than this zoo reads ({STATE_FORMAT})",
            hint="pip install -U zoo-registry",
        )
    return skeleton, environment, info


def state_path(run: Path, step: int) -> Path:
    """Where the state of a step lies in a run folder."""
    return run / "checkpoints" / f"step-{step:08d}.safetensors"


def list_states(run: Path) -> list[tuple[int, Path]]:
    """``(step, path)`` of every state file of a run, newest first, unverified."""
    found = []
    with contextlib.suppress(OSError):
        for entry in (run / "checkpoints").iterdir():
            match = _NAME.fullmatch(entry.name)
            if match:
                found.append((int(match[1]), entry))
    return sorted(found, reverse=True)


@dataclass(frozen=True, slots=True)
class Found:
    """What a search for the newest good state gave.

    Attributes:
        state: The newest that is whole, or ``None``.
        rejected: ``(path, reason)`` of newer ones that are not.
    """

    state: State | None
    rejected: tuple[tuple[Path, str], ...] = ()

    def notes(self) -> tuple[str, ...]:
        """What to tell people, one line each."""
        fallback = f"step {self.state.step}" if self.state else "the start"
        return tuple(
            f"{path.name} is not usable ({reason}); going back to {fallback}"
            for path, reason in self.rejected
        )


def newest_state(run: Path) -> Found:
    """Find the newest state of a run whose digest is right."""
    rejected: list[tuple[Path, str]] = []
    for step, path in list_states(run):
        try:
            state = read_state(path)
        except CheckpointError as error:
            rejected.append((path, error.message.removeprefix(f"{path} ").removeprefix("is ")))
            continue
        if state.step != step:
            rejected.append((path, f"it holds step {state.step}"))
            continue
        return Found(state, tuple(rejected))
    return Found(None, tuple(rejected))


def prune_states(run: Path, keep: int) -> list[Path]:
    """Delete all but the newest ``keep`` (at least 2) states, if the newest verifies.

    Returns:
        What was deleted.
    """
    states = list_states(run)
    old = states[max(2, keep) :]
    if not old:
        return []
    tensorfile.verify(states[0][1])
    deleted = []
    for _, path in old:
        with contextlib.suppress(OSError):
            path.unlink()
            deleted.append(path)
    return deleted
