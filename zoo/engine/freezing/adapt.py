"""Adapters in place of training: which layers get one, and what of the model trains then.

``--lora R`` means: what would train, but for the head, is frozen, and each of its layers gets a
low-rank adapter (:mod:`zoo.engine.adapters.lora`), which trains instead. What the freeze flags
freeze gets none, so the frozen part can still be cut off; what ``--unfreeze`` names trains whole.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

import torch
from torch import nn

from zoo.engine.adapters import lora
from zoo.engine.freezing.cone import canonical_parameters
from zoo.engine.freezing.freeze import tracer_of
from zoo.engine.freezing.request import FreezeRequest
from zoo.engine.freezing.stages import layout_of
from zoo.errors import FreezeError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo.core.recipe import FreezePart
    from zoo.core.specs import InputSpec, ModelSpec
    from zoo.engine.freezing.cone import Tracer

_ATTENTION = ("in_proj_weight", "q_proj_weight", "k_proj_weight", "v_proj_weight")
_GLOBS = (f"*.{lora.DOWN}", f"*.{lora.UP}")


def adapt(
    model: nn.Module,
    spec: ModelSpec | None,
    part: FreezePart,
    expects: InputSpec | None = None,
    *,
    seed: int = 0,
) -> tuple[FreezePart, str]:
    """Put adapters where the request wants them.

    Args:
        model: After surgery, with its weights; gets the adapters.
        spec: Its registry entry.
        part: The request, with a rank.
        expects: Expected input (C, H, W).
        seed: Of what the adapters begin with.

    Returns:
        The request that says what else is frozen now, and one line for people.

    Raises:
        FreezeError: A name matches nothing, or no layer is left to put an adapter on.
    """
    assert part.lora is not None
    tracer = tracer_of(model, spec, expects)
    request = FreezeRequest(tracer, layout_of(tracer, spec), part)
    asked = bool(part.upto or part.before or part.freeze)
    frozen = request.frozen() if asked else request.fixed()
    whole = [request.match(pattern, "--unfreeze") for pattern in part.unfreeze]
    trains = frozenset[str]().union(*whole)
    free = request.backbone() - frozen - trains
    scale = (part.lora_alpha or 2.0 * part.lora) / part.lora
    generator = torch.Generator().manual_seed(seed)
    beside, inside = 0, 0
    places, called = list(_places(model, free)), _called(tracer)
    for path, layer, name in places:
        weight = layer.get_parameter(name)
        made = lora.LowRank(weight, part.lora, scale, generator)
        if name == "weight" and path in called and type(layer) in (nn.Linear, nn.Conv2d):
            lora.beside(layer, made)
            beside += 1
        else:
            lora.inside_of(layer, name, made)
            inside += 1
    if not places:
        raise FreezeError(
            "--lora: there is no layer left that could be adapted", hint="freeze less of the model"
        )
    size = sum(p.numel() for n, p in model.named_parameters() if lora.is_adapter(n))
    others = sorted(frozen - request.backbone())
    rest = dataclasses.replace(
        part, freeze=("backbone", *others), unfreeze=(*sorted(trains), *_GLOBS)
    )
    ways = [f"{beside} layers"] if beside else []
    ways += [f"{inside} weights that are used without their layer"] if inside else []
    line = f"LoRA of rank {part.lora} on {' and '.join(ways)}, {size:,} parameters, scale {scale:g}"
    return rest, f"{line}; added into the weights that are published"


def _places(model: nn.Module, free: frozenset[str]) -> Iterator[tuple[str, nn.Module, str]]:
    """Weights that get an adapter: path of the layer, the layer, name of the weight."""
    uses: dict[str, int] = {}
    names = canonical_parameters(model)
    for canonical in names.values():
        uses[canonical] = uses.get(canonical, 0) + 1
    for path, layer in list(model.named_modules()):
        for name in _weights(layer):
            canonical = names.get(f"{path}.{name}" if path else name, "")
            if canonical in free and uses[canonical] == 1:
                yield path, layer, name


def _weights(layer: nn.Module) -> tuple[str, ...]:
    """Names of a layer's weights that are matrices from what it is given to what it gives."""
    if isinstance(layer, nn.MultiheadAttention):
        return tuple(name for name in _ATTENTION if getattr(layer, name, None) is not None)
    dense = isinstance(layer, nn.Linear) or (
        isinstance(layer, nn.Conv1d | nn.Conv2d | nn.Conv3d) and layer.groups == 1
    )
    return ("weight",) if dense and isinstance(layer.weight, nn.Parameter) else ()


def _called(tracer: Tracer) -> frozenset[str]:
    """Layers that a forward calls; none of a model that cannot be followed."""
    try:
        return frozenset(tracer.trace().calls)
    except FreezeError:
        return frozenset()
