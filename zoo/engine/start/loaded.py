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
from zoo.engine.start.stored import find_trained, not_ours

if TYPE_CHECKING:
    from zoo.core.registry import Registry
    from zoo.engine.start.weights import Note, Progress


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model with what its checkpoint says.

    Attributes:
        model: In eval mode, on the CPU, fp32.
        info: Names of the classes, recipe, metrics, origin.
        path: The file that it came from.
        own: Whether that file is the user's, rather than one in a download cache.
    """

    model: nn.Module
    info: CheckpointInfo
    path: Path
    own: bool = True

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the outputs."""
        return self.info.classes

    @property
    def input(self) -> InputSpec:
        """What the model expects to see."""
        return self.info.input or InputSpec()


def load_run(
    reference: str,
    registry: Registry,
    *,
    runs: str = "runs",
    progress: Progress | None = None,
    note: Note | None = None,
) -> Loaded:
    """Load a trained model: a run's, a checkpoint's, or a published one.

    A run is taken before a model of the same name; ``run:NAME`` is always a run.

    Args:
        reference: A run's name or folder, a safetensors file written by zoo, ``hub:org/repo``, or
            a model of the registry, with its default weights or those of its tag.
        registry: Where its architecture is.
        runs: Folder that runs lie in.
        progress: Called with (bytes so far, total or ``None``) during a download.
        note: Told about waits, one line each.

    Raises:
        HubError: Weights cannot be fetched.
        CheckpointError: Missing, damaged, not from zoo, or it does not fit what it says.
        UnknownNameError: The plugin that has the model is not installed.
        UsageError: The model has no published weights.
    """
    if reference.startswith("hub:"):
        from zoo.engine.start.hubmodel import load_hub

        return load_hub(reference, registry, note=note)
    path = find_trained(reference, registry, runs)
    if path is None:
        from zoo.engine.start.named import load_named

        return load_named(reference, registry, progress=progress, note=note)
    tensors, info = load_weights(path)
    if info is None:
        raise not_ours(path)
    return Loaded(restore(info, tensors, registry, path), info, path)
