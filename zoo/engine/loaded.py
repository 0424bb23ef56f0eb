"""A trained model as people use it: the network, and everything the checkpoint knows about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from zoo.core import names
from zoo.core.metadata import CheckpointInfo, read_header
from zoo.core.specs import InputSpec
from zoo.engine.checkpoint import load_weights
from zoo.engine.parts import restore
from zoo.engine.weights import WEIGHTS_FILE, run_folder
from zoo.errors import CheckpointError

if TYPE_CHECKING:

    from zoo.core.registry import Registry


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model with what its checkpoint says.

    Attributes:
        model: In eval mode, on the CPU, fp32.
        info: Names of the classes, recipe, metrics, origin.
        path: The file that it came from.
    """

    model: nn.Module
    info: CheckpointInfo
    path: Path

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the outputs."""
        return self.info.classes

    @property
    def input(self) -> InputSpec:
        """What the model expects to see."""
        return self.info.input or InputSpec()


def weights_path(reference: str, runs: str = "runs") -> Path:
    """The weights file of a run (by name or folder), a file, or ``file:``/``run:`` spelled out.

    Raises:
        CheckpointError: There is no such run or file, or the run has no weights yet.
    """
    text = reference
    if reference.startswith(("run:", "file:")):
        text = names.parse(reference).name
    path = Path(text).expanduser()
    if path.is_file():
        return path
    if reference.startswith("file:") or path.suffix == ".safetensors":
        raise CheckpointError(f"no file {path}")
    folder = run_folder(text, runs)
    found = folder / WEIGHTS_FILE
    if not found.is_file():
        hint = f"zoo resume {folder}" if (folder / "recipe.toml").is_file() else "zoo runs"
        raise CheckpointError(f"{folder} has no {WEIGHTS_FILE} yet", hint=hint)
    return found


def read_info(reference: str, runs: str = "runs") -> tuple[Path, CheckpointInfo]:
    """What a run's weights say about themselves, without loading them.

    Raises:
        CheckpointError: Missing, damaged, or not from zoo.
    """
    path = weights_path(reference, runs)
    info = read_header(path).info
    if info is None:
        raise _not_ours(path)
    return path, info


def load_run(reference: str, registry: Registry, *, runs: str = "runs") -> Loaded:
    """Load the model of a run or of a checkpoint file.

    Args:
        reference: A run's name or folder, a safetensors file written by zoo, or ``hub:org/repo``.
        registry: Where its architecture is.
        runs: Folder that runs lie in.

    Raises:
        HubError: A repository cannot be fetched.
        CheckpointError: Missing, damaged, not from zoo, or it does not fit what it says.
        UnknownNameError: The plugin that has the model is not installed.
    """
    if reference.startswith("hub:"):
        from zoo.engine.hubmodel import load_hub

        return load_hub(reference, registry)
    path = weights_path(reference, runs)
    tensors, info = load_weights(path)
    if info is None:
        raise _not_ours(path)
    return Loaded(restore(info, tensors, registry, path), info, path)


def _not_ours(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} was not written by zoo: it does not say which model and classes it is of",
        hint=f"zoo import {path} --as MODEL --labels FILE",
    )
