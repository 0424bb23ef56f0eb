"""Starting from a repository on the Hub: what it says about its weights becomes a start."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.engine.saving.checkpoint import load_weights
from zoo.engine.start.start import Start, from_info, input_of
from zoo.errors import CheckpointError

if TYPE_CHECKING:
    from zoo.core.recipe import Recipe
    from zoo.core.registry import Registry
    from zoo.core.specs import ModelSpec
    from zoo.engine.start.start import Note, Progress


def from_hub(
    reference: str,
    registry: Registry,
    spec: ModelSpec | None,
    recipe: Recipe,
    *,
    progress: Progress | None = None,
    note: Note | None = None,
) -> Start:
    """Fetch, verify and read a repository.

    Labels, size and preprocessing come from the repository; only what it does not state is the
    architecture's.

    Args:
        reference: ``hub:org/repo[@revision]``.
        registry: Where the architecture is.
        spec: The model that was asked for; ``None`` = the one that the repository names.
        recipe: A checked recipe.
        progress: Called with (bytes so far, total or ``None``).
        note: Told about waits and retries.

    Raises:
        HubError: Not found, no access, unreachable or damaged.
        CheckpointError: It does not fit the model, or nobody says which model it is.
    """
    from zoo.hub.model import fetch_hub

    found = fetch_hub(
        reference,
        model=spec.qualified if spec else "",
        registry=registry,
        progress=progress,
        note=note,
    )
    tensors, _ = load_weights(found.path, verify=False)
    named = found.named(tensors)
    if found.info is not None:
        record = dict(found.record())
        return from_info(found.info, named, registry, spec, recipe.model.options, record)
    if not found.model:
        raise CheckpointError(
            f"{reference} does not say which model it is of",
            hint=f"zoo finetune MODEL --weights {reference}",
        )
    model = registry.model(found.model)
    return Start(
        spec=model,
        options={**found.options, **recipe.model.options},
        tensors=named,
        num_classes=found.num_classes,
        classes=found.classes,
        input=found.input or input_of(model),
        record=dict(found.record()),
        notes=found.notes,
    )
