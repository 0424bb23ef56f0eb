"""Loading a trained model for use: a run's, a file's, a published one's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.engine.parts import restore
from zoo.engine.saving.checkpoint import load_weights
from zoo.engine.start.loaded import Loaded
from zoo.engine.start.stored import find_trained, not_ours

if TYPE_CHECKING:
    from zoo.core.registry import Registry
    from zoo.engine.start.start import Note, Progress


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
        from zoo.engine.start.published import load_hub

        return load_hub(reference, registry, note=note)
    path = find_trained(reference, registry, runs)
    if path is None:
        from zoo.engine.start.published import load_named

        return load_named(reference, registry, progress=progress, note=note)
    tensors, info = load_weights(path)
    if info is None:
        raise not_ours(path)
    return Loaded(restore(info, tensors, registry, path), info, path)
