"""A trained model as people use it: the network, and everything the checkpoint knows about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import nn

from zoo.core.metadata import CheckpointInfo
from zoo.core.specs import InputSpec
from zoo.engine.parts import restore
from zoo.engine.saving.checkpoint import load_weights
from zoo.engine.start.stored import not_ours, weights_path

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
        from zoo.engine.start.hubmodel import load_hub

        return load_hub(reference, registry)
    path = weights_path(reference, runs)
    tensors, info = load_weights(path)
    if info is None:
        raise not_ours(path)
    return Loaded(restore(info, tensors, registry, path), info, path)
