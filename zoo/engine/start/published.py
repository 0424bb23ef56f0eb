"""Published weights, ready to be used as they are: a model of the registry, or the Hub's."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.core import names
from zoo.core.metadata import CheckpointInfo
from zoo.core.resolve import resolve
from zoo.core.specs import DatasetSpec
from zoo.engine.parts import restore
from zoo.engine.saving.checkpoint import load_weights
from zoo.engine.start.loaded import Loaded
from zoo.engine.start.start import input_of
from zoo.engine.start.weights import choose_weights
from zoo.errors import HubError, PluginError, UnknownNameError

if TYPE_CHECKING:
    from zoo.core.registry import Registry
    from zoo.core.specs import WeightsSpec
    from zoo.engine.start.start import Note, Progress


def load_named(
    reference: str,
    registry: Registry,
    *,
    progress: Progress | None = None,
    note: Note | None = None,
) -> Loaded:
    """Load ``resnet18`` or ``resnet18:TAG`` as it was published; without a tag, the default.

    Args:
        reference: A name of the registry, weights tag included.
        registry: Where it is looked up.
        progress: Called with (bytes so far, total or ``None``) during a download.
        note: Told about waits, one line each.

    Raises:
        UnknownNameError: No plugin has the model, or it has no such weights.
        UsageError: The model has no published weights.
        HubError: They cannot be fetched or verified.
    """
    from zoo.hub.fetch import fetch_weights
    from zoo.hub.ways import ways_on, ways_to

    parsed = names.parse(reference)
    spec = registry.model(parsed.qualified)
    known = [weights.name for weights in spec.weights]
    if parsed.weights and parsed.weights not in (*known, "default"):
        raise UnknownNameError(
            f"{spec.qualified} has no weights {parsed.weights!r}",
            hint=names.did_you_mean(names.suggest(parsed.weights, known))
            or f"zoo info {spec.qualified}",
        )
    weights = choose_weights(spec, parsed.weights or "default")
    try:
        fetched = fetch_weights(weights, model=spec.qualified, progress=progress, note=note)
    except HubError as error:
        if error.hint == ways_on(spec.qualified):
            error.hint = ways_to(spec.qualified)  # nothing is trained: no --weights to choose
        raise
    tensors, info = load_weights(fetched.path, verify=False)
    if info is None:
        count = weights.classes or spec.classes
        info = CheckpointInfo(
            model=spec.qualified,
            plugin=spec.plugin,
            options=dict(weights.options),
            num_classes=count,
            classes=class_names(weights, registry, count),
            input=weights.input or input_of(spec),
            base={"weights": f"{spec.qualified}:{weights.name}", **fetched.record()},
        )
    return Loaded(restore(info, tensors, registry, reference), info, fetched.path, own=False)


def load_hub(reference: str, registry: Registry, *, note: Note | None = None) -> Loaded:
    """Load the model of a repository on the Hub, ready to be used.

    Args:
        reference: ``hub:org/repo[@revision]``.
        registry: Where its architecture is.
        note: Told about waits, one line each.

    Raises:
        HubError: It cannot be fetched or verified.
        CheckpointError: It does not fit the model that it names, or names none.
    """
    from zoo.hub.fetch import fetch_hub

    found = fetch_hub(reference, registry=registry, note=note)
    tensors = found.named(load_weights(found.path, verify=False)[0])
    info = found.info or CheckpointInfo(
        model=found.model,
        plugin=registry.model(found.model).plugin,
        options=dict(found.options),
        num_classes=found.num_classes,
        classes=found.classes,
        input=found.input or input_of(registry.model(found.model)),
        base={**found.record()},
    )
    return Loaded(restore(info, tensors, registry, reference), info, found.path, own=False)


def class_names(weights: WeightsSpec, registry: Registry, count: int | None) -> tuple[str, ...]:
    """Names of the classes that weights give, in the order of the outputs.

    They are those of the data set that the weights' ``labels`` names, where that states them.

    Args:
        weights: Their record.
        registry: Where the data set is looked up.
        count: Outputs of the head.

    Returns:
        One name an output; empty where nobody states them, or states another number of them.

    Raises:
        PluginError: The data set's list cannot be had.
    """
    if not weights.labels:
        return ()
    try:
        spec = registry.find("dataset", weights.labels)
    except UnknownNameError:
        return ()
    if not isinstance(spec, DatasetSpec) or not spec.labels:
        return ()
    given = resolve(spec.labels)
    if not callable(given):
        raise PluginError(f"data set {spec.qualified}: {spec.labels} is not callable")
    found = tuple(str(name) for name in given())
    return found if len(found) == count else ()
