"""Where a model starts: which architecture, which tensors, what they know about their input.

Every ``--weights`` spelling ends here as one :class:`Start`: nothing (random), a tag of the
registry, a file, a run of yours, or a repository on the Hub.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from zoo.core import names
from zoo.engine.saving.checkpoint import load_weights
from zoo.engine.sizes import agree
from zoo.engine.start.start import Start, from_info, input_of
from zoo.engine.start.stored import weights_path
from zoo.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from zoo.core.recipe import Recipe
    from zoo.core.registry import Registry
    from zoo.core.specs import ModelSpec, WeightsSpec
    from zoo.engine.start.start import Note, Progress


def find_start(
    recipe: Recipe,
    registry: Registry,
    *,
    progress: Progress | None = None,
    note: Note | None = None,
) -> Start:
    """Resolve the recipe's model and weights; downloads what is not here.

    Args:
        recipe: A checked recipe.
        registry: Where the model is looked up.
        progress: Called with (bytes so far, total or ``None``).
        note: Told about waits, one line each.

    Raises:
        HubError: Weights cannot be fetched or verified.
        CheckpointError: A file is damaged or foreign, or does not say what it is.
        UsageError: The recipe's model is not a name or a source, or is built for images of
            another size.
    """
    start = _found(recipe, registry, progress, note)
    options, shown = agree(
        start.spec, start.options, start.input, recipe.data.size, pretrained=start.pretrained
    )
    return replace(start, options=options, input=shown)


def _found(
    recipe: Recipe, registry: Registry, progress: Progress | None, note: Note | None
) -> Start:
    reference = names.parse(recipe.model.name)
    spec = None if reference.source else registry.model(reference.qualified)
    wanted = recipe.model.weights
    source = names.parse(wanted).source if wanted not in ("default", "none") else ""
    if spec is not None and not source:
        if wanted == "none":
            return Start(spec=spec, options=dict(recipe.model.options), input=input_of(spec))
        return _tagged(spec, recipe, wanted, progress=progress, note=note)
    if source in ("file", "run"):
        path = weights_path(wanted, recipe.output.dir)
        return from_file(path, registry, spec, dict(recipe.model.options))
    if source == "hub":
        from zoo.engine.start.hubmodel import from_hub

        return from_hub(wanted, registry, spec, recipe, progress=progress, note=note)
    raise UsageError(
        f"weights {wanted!r}: no such source", hint="file:PATH, run:NAME, hub:ORG/REPO"
    )


def _tagged(
    spec: ModelSpec, recipe: Recipe, tag: str, *, progress: Progress | None, note: Note | None
) -> Start:
    from zoo.hub.fetch import fetch_weights

    weights = choose_weights(spec, tag)
    fetched = fetch_weights(weights, model=spec.qualified, progress=progress, note=note)
    tensors, info = load_weights(fetched.path, verify=False)
    return Start(
        spec=spec,
        options={**weights.options, **recipe.model.options},
        tensors=tensors,
        num_classes=weights.classes or spec.classes,
        classes=info.classes if info else (),
        input=weights.input or input_of(spec),
        record={"weights": f"{spec.qualified}:{weights.name}", **fetched.record()},
        notes=fetched.notes,
    )


def choose_weights(spec: ModelSpec, tag: str) -> WeightsSpec:
    """The weights of a tag; ``default`` is the first.

    Raises:
        UsageError: The model has none.
    """
    for weights in spec.weights:
        if tag in ("default", weights.name):
            return weights
    raise UsageError(
        f"{spec.qualified} has no pretrained weights",
        hint=f"zoo train {spec.qualified}, or --weights file:PATH | hub:ORG/REPO | run:NAME",
    )


def from_file(
    path: Path, registry: Registry, spec: ModelSpec | None, options: dict[str, Any]
) -> Start:
    """Start from a safetensors file, ours or anybody's.

    Args:
        path: The file.
        registry: Where a file of ours finds its model.
        spec: The model that was asked for; ``None`` = whatever the file says.
        options: Builder options that were asked for.

    Raises:
        CheckpointError: Damaged, foreign, of another model, or it does not say of which.
    """
    tensors, info = load_weights(path)
    record = {"source": f"file:{path.name}", "sha256": _digest(path)}
    if info is None:
        if spec is None:
            raise CheckpointError(
                f"{path} does not say which model it is of",
                hint=f"zoo finetune MODEL --weights file:{path}",
            )
        return Start(
            spec=spec,
            options=options,
            tensors=tensors,
            num_classes=head_size(spec, tensors),
            input=input_of(spec),
            record=record,
            notes=(f"{path.name} states no labels and no preprocessing: {spec.name}'s are used",),
        )
    return from_info(info, tensors, registry, spec, options, record | {"run": info.run})


def head_size(spec: ModelSpec, tensors: Mapping[str, Tensor]) -> int | None:
    """Outputs of the head, read off the weights; ``None`` where there is no head."""
    weight = tensors.get(f"{spec.head}.weight")
    return int(weight.shape[0]) if weight is not None else None


def _digest(path: Path) -> str:
    from zoo.hub.files import sha256_file

    return sha256_file(path)
