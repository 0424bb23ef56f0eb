"""Which modules are held in eval mode, given what is frozen.

A module is held if all its parameters are frozen. A module without parameters (dropout,
drop-path, a norm without scale and shift) is held if everything upstream of it is frozen and it
comes before the last frozen layer: a dropout between the frozen part and the head still
regularises the head.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor, nn

from zoo.engine.freezing.cone import canonical_parameters, inside, owned
from zoo.errors import FreezeError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zoo.engine.freezing.cone import Cone, Tracer
    from zoo.engine.freezing.stages import Layout
    from zoo.engine.freezing.trace import Trace

_WEIGHTED = (nn.Linear, nn.modules.conv._ConvNd)


def norm_layers(model: nn.Module) -> list[tuple[str, nn.Module]]:
    """Norm layers that keep running statistics, with their paths."""
    return [
        (name, module)
        for name, module in model.named_modules()
        if isinstance(getattr(module, "running_mean", None), Tensor)
    ]


def held_modules(tracer: Tracer, frozen: frozenset[str], cones: Sequence[Cone]) -> tuple[str, ...]:
    """Outermost modules to put in eval mode; everything inside them is held too.

    Args:
        tracer: The model.
        frozen: Frozen parameters, and norm parameters whose statistics are frozen.
        cones: The cones that were asked for.
    """
    model = tracer.model
    held = {name for name in _by_parameters(model, frozen) if name}
    try:
        trace = tracer.trace()
    except FreezeError:  # answered by the declared order: only parameters are known
        return _outermost(held)
    held |= _by_position(model, trace, frozen, held, cones)
    return _outermost(held)


def _by_parameters(model: nn.Module, frozen: frozenset[str]) -> set[str]:
    """Modules that have parameters, all of them frozen."""
    names = canonical_parameters(model)
    total: dict[str, list[bool]] = {}
    for path, canonical in names.items():
        parts = path.split(".")[:-1]
        for n in range(len(parts) + 1):
            total.setdefault(".".join(parts[:n]), []).append(canonical in frozen)
    return {name for name, flags in total.items() if all(flags)}


def _by_position(
    model: nn.Module, trace: Trace, frozen: frozenset[str], held: set[str], cones: Sequence[Cone]
) -> set[str]:
    """Modules without parameters whose every call lies inside the frozen part."""
    mask = trace.mask(frozen)
    ends = [
        call.end for name in held for call in trace.calls.get(name, ()) if not call.outputs & ~mask
    ]
    border = max([*ends, *(cone.end for cone in cones if cone.inclusive)], default=-1)
    upstream = frozenset[str]().union(*(cone.modules for cone in cones))
    return {
        name
        for name, calls in trace.calls.items()
        if next(model.get_submodule(name).parameters(), None) is None
        and all(not c.outputs & ~mask and c.end <= border for c in calls)
        and (name in upstream or any(c.outputs for c in calls))
    }


def _outermost(names: Iterable[str]) -> tuple[str, ...]:
    found: list[str] = []
    for name in sorted(names):
        if not (found and inside(name, found[-1])):
            found.append(name)
    return tuple(found)


def split_pairs(
    tracer: Tracer, layout: Layout, frozen: frozenset[str], held: Sequence[str]
) -> tuple[str, ...]:
    """Warnings: a layer is frozen, but the norm that belongs to it trains."""
    model = tracer.model
    try:
        trace = tracer.trace()
    except FreezeError:
        return ()
    made_by = {
        node: name
        for name, calls in trace.calls.items()
        if isinstance(model.get_submodule(name), _WEIGHTED) and owned(model, (name,)) <= frozen
        for call in calls
        for node in call.after
    }
    found: list[str] = []
    for norm, _ in norm_layers(model):
        if any(inside(norm, path) for path in held):
            continue
        before = [node for call in trace.calls.get(norm, ()) for node in call.before]
        layer = next((made_by[node] for node in before if node in made_by), "")
        if layer and layer.rpartition(".")[0] == norm.rpartition(".")[0]:
            both = _common(layout, layer, norm)
            found.append(f"{layer} is frozen but its norm {norm} trains: freeze up to {both}")
    return tuple(found)


def _common(layout: Layout, layer: str, norm: str) -> str:
    """The smallest named part that holds both, else the norm itself."""
    for alias, paths in layout.stages:
        if all(any(inside(name, path) for path in paths) for name in (layer, norm)):
            listed = layer in paths and norm in paths
            return alias if listed else norm
    return norm
