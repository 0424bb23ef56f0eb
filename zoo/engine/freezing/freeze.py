"""Freezing: which parameters do not train, which modules are held, and how that is said.

Names are inclusive: ``--freeze-upto layer3`` freezes every parameter upstream of layer3's
output, layer3 included (:mod:`zoo.engine.freezing.cone`). Frozen means frozen: held modules are put in
eval mode after every ``model.train()``, so running statistics stop moving and dropout and
drop-path inside the frozen part are off. Module classes and state_dict keys do not change.

The order in a run is fixed: build, load weights, surgery, plan, :func:`apply`, then
optimizer, EMA, DDP and compile from the trainable parameters, then :func:`hold` after every
``model.train()``.
"""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

from zoo.core.recipe import FreezePart
from zoo.engine.adapters.lora import is_adapter
from zoo.engine.freezing.cone import Tracer, canonical_parameters, inside, owned
from zoo.engine.freezing.held import held_modules, norm_layers, split_pairs
from zoo.engine.freezing.plan import FreezePlan, part_names
from zoo.engine.freezing.request import FreezeRequest
from zoo.engine.freezing.stages import Layout, layout_of
from zoo.errors import FreezeError

if TYPE_CHECKING:
    from torch import nn

    from zoo.core.specs import InputSpec, ModelSpec, Stages

__all__ = ["FreezePlan", "apply", "freeze_upto", "hold", "plan_freeze"]


def plan_freeze(
    model: nn.Module,
    spec: ModelSpec | None,
    part: FreezePart,
    expects: InputSpec | None = None,
    *,
    pretrained: bool = True,
) -> FreezePlan:
    """Work out what a freeze request means for this model; changes nothing.

    Args:
        model: The model, after surgery.
        spec: Its registry entry; ``None`` names its stages automatically.
        part: The request.
        expects: Expected input (C, H, W); default: the registry entry's, else usual sizes.
        pretrained: Whether the model carries weights that something has trained.

    Raises:
        FreezeError: Nothing has that name or matches; nothing or everything would be frozen;
            the head would be frozen; or the weights are random.
    """
    if part == FreezePart():
        return _plan_nothing(model)
    tracer = tracer_of(model, spec, expects)
    layout = layout_of(tracer, spec)
    request = FreezeRequest(tracer, layout, part)
    frozen = request.frozen()
    _check(model, layout, part, frozen, pretrained=pretrained)
    phases = ((0, frozen), *request.later(frozen))
    plans = [_phase(request, names, epoch) for epoch, names in phases]
    return dataclasses.replace(plans[0], later=tuple(plans[1:]))


def freeze_upto(
    model: nn.Module,
    target: str,
    *,
    frozen_bn: str = "eval",
    spec: ModelSpec | None = None,
    expects: InputSpec | None = None,
) -> FreezePlan:
    """Freeze a plain module up to and including ``target``, now.

    The module is put in train mode with its frozen part held in eval; call :func:`hold` again
    after each further ``model.train()``.

    Args:
        model: Any module that maps one image batch (N, C, H, W) to tensors.
        target: A stage name or a module path.
        frozen_bn: ``eval``, ``update`` or ``affine``.
        spec: Registry entry, for its stage names.
        expects: Expected input (C, H, W).

    Raises:
        FreezeError: The target does not exist, or freezing it leaves nothing to train.
    """
    if frozen_bn not in ("eval", "update", "affine"):
        raise FreezeError(f"frozen_bn is {frozen_bn!r}", hint="use eval, update or affine")
    part = FreezePart(upto=target, frozen_bn=frozen_bn)  # type: ignore[arg-type]
    plan = plan_freeze(model, spec, part, expects)
    apply(model, plan)
    model.train()
    hold(model, plan)
    return plan


def apply(model: nn.Module, plan: FreezePlan) -> None:
    """Set ``requires_grad`` as the plan says and drop stale gradients of frozen parameters."""
    frozen, trainable = set(plan.frozen), set(plan.trainable)
    for name, parameter in model.named_parameters():
        if name in frozen:
            parameter.requires_grad_(False)
            parameter.grad = None
        elif name in trainable:
            parameter.requires_grad_(True)


def hold(model: nn.Module, plan: FreezePlan) -> None:
    """Put the frozen part in eval mode; call it after every ``model.train()``."""
    for name in plan.eval_modules:
        model.get_submodule(name).eval()
    for name in plan.update_modules:
        model.get_submodule(name).train()


def tracer_of(model: nn.Module, spec: ModelSpec | None, expects: InputSpec | None) -> Tracer:
    """What records a model's forward pass.

    Args:
        model: The model, after surgery.
        spec: Its registry entry.
        expects: Expected input (C, H, W); default: the registry entry's.
    """
    return Tracer(model, expects or (spec.input if spec else None), stages=_order(spec))


def _order(spec: ModelSpec | None) -> Stages:
    """Declared order of execution: the stages, then the neck."""
    if spec is None:
        return ()
    return (*spec.stages, ("neck", spec.neck)) if spec.neck else spec.stages


def _check(
    model: nn.Module,
    layout: Layout,
    part: FreezePart,
    frozen: frozenset[str],
    *,
    pretrained: bool,
) -> None:
    """Refuse a request that cannot mean what was asked."""
    head = owned(model, (layout.head,)) if layout.head else frozenset()
    if head & frozen:
        raise FreezeError(
            f"the head {layout.head} would be frozen, so the model could not learn your classes",
            hint="freeze up to backbone to train the head alone, or add "
            f"--unfreeze '{layout.head}.*'",
        )
    if frozen >= frozenset(canonical_parameters(model).values()):
        raise FreezeError(
            "nothing would be left to train", hint=f"the stages are {', '.join(layout.names)}"
        )
    if not pretrained and not part.allow_random_frozen:
        raise FreezeError(
            "the model has random weights: freezing them would keep noise",
            hint="start from weights (--weights default), or add --allow-random-frozen",
        )


def _phase(request: FreezeRequest, names: frozenset[str], epoch: int) -> FreezePlan:
    """The plan while exactly ``names`` are frozen."""
    model, part, layout = request.model, request.part, request.layout
    affine = request.affine if part.frozen_bn == "affine" else frozenset()
    held = held_modules(request.tracer, names | affine, request.cones)
    norms = tuple(n for n, _ in norm_layers(model) if any(inside(n, h) for h in held))
    sizes = {name: p.numel() for name, p in model.named_parameters()}
    frozen = tuple(name for name in sizes if name in names)
    trainable = tuple(name for name in sizes if name not in names)
    adapters = frozenset(name for name in trainable if is_adapter(name))
    trained = part_names(model, layout, frozenset(trainable) - affine - adapters)
    return FreezePlan(
        frozen=frozen,
        trainable=trainable,
        frozen_parts=part_names(model, layout, names | affine | adapters),
        trainable_parts=("adapters", *trained) if adapters else trained,
        frozen_size=sum(sizes[name] for name in frozen),
        trainable_size=sum(sizes[name] for name in trainable),
        eval_modules=held,
        update_modules=norms if part.frozen_bn == "update" else (),
        norms=norms,
        frozen_bn=part.frozen_bn,
        how=request.tracer.how,
        warnings=split_pairs(request.tracer, layout, names, held),
        epoch=epoch,
    )


def _plan_nothing(model: nn.Module) -> FreezePlan:
    """The plan of a run that freezes nothing."""
    sizes = {n: p.numel() for n, p in model.named_parameters() if p.requires_grad}
    return FreezePlan(
        trainable=tuple(sizes), trainable_parts=("all",), trainable_size=sum(sizes.values())
    )
