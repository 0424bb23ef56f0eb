"""From a recipe to a live model: build, load, cut. And from a checkpoint back to its model.

The order is build -> load weights -> surgery; freezing, the optimizer and wrapping come after
(:mod:`zoo.engine.run`).
"""

from __future__ import annotations

import copy
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from zoo.core.recipe import SurgeryPart
from zoo.core.specs import InputSpec, ModelSpec
from zoo.engine.finite import is_finite
from zoo.engine.place import derive
from zoo.engine.saving.live import fill
from zoo.engine.sizes import fit_input
from zoo.engine.surgery import SurgeryReport, is_bare, operate
from zoo.engine.tryout import first_line
from zoo.errors import CheckpointError, PluginError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from torch import Tensor

    from zoo.core.metadata import CheckpointInfo
    from zoo.core.recipe import Recipe
    from zoo.core.registry import Registry
    from zoo.engine.start.start import Start

BUILD, SURGERY = 1, 2
"""Streams of randomness: initial weights, and layers that surgery makes."""


@dataclass(frozen=True, slots=True)
class Built:
    """A model, ready to be frozen and trained.

    Attributes:
        model: On the CPU, fp32.
        spec: Its registry entry; the head's path is where surgery left it.
        input: What it expects to see, with the recipe's size and channels.
        surgery: All changes since the registry's architecture, to be written down.
        report: What surgery changed now.
        notes: What a person should know.
    """

    model: nn.Module
    spec: ModelSpec
    input: InputSpec
    surgery: SurgeryPart
    report: SurgeryReport
    notes: tuple[str, ...] = ()


def build(start: Start, recipe: Recipe, registry: Registry, classes: tuple[str, ...]) -> Built:
    """Build the recipe's model with its starting weights, fitted to the data.

    Args:
        start: Where it starts.
        recipe: A checked recipe.
        registry: Where the architecture is.
        classes: Class names of the data, in order; empty = not a classification.

    Raises:
        CheckpointError: The weights do not fit the architecture, or are not finite.
        UsageError: The builder or the surgery refuses.
    """
    wanted = recipe.surgery
    _check_ends(start.surgery, wanted)
    seed = recipe.device.seed
    count = len(classes) or wanted.classes
    if start.tensors is None:
        model = _construct(start, registry, count, seed)
        part = replace(wanted, reset_head=False)
    else:
        start, part = _fitted(start, wanted, classes, registry, seed)
        model = _restored(start, registry, start.tensors or {}, seed)
    bare = start.surgery.drop_last  # features stay features: there is no head to look at
    report = operate(
        model,
        _last_layer(start),
        replace(part, drop_last=False, classes=None) if bare else part,
        classes=None if bare else count,
        seed=derive(seed, SURGERY),
    )
    if start.pretrained:
        _check_finite(model, start)
    return Built(
        model=model,
        spec=start.spec,
        input=fit_input(start.input, recipe.data.size, wanted.in_channels),
        surgery=_all_changes(start.surgery, wanted, report.outputs),
        report=replace(report, outputs=start.num_classes) if bare else report,
        notes=(*start.notes, *_features_note(wanted, report.outputs or start.num_classes, count)),
    )


def _check_ends(had: SurgeryPart, wanted: SurgeryPart) -> None:
    if had.project and (wanted.project or wanted.drop_last):
        raise UsageError(
            "these weights end in a projection already",
            hint="leave --project and --drop-last out, or start from the base weights",
        )


def _all_changes(had: SurgeryPart, wanted: SurgeryPart, outputs: int | None) -> SurgeryPart:
    """Everything that differs from the registry's architecture, old changes and new."""
    project = wanted.project
    if had.project:
        project = (*had.project[:-1], outputs or had.project[-1])
    return SurgeryPart(
        in_channels=wanted.in_channels or had.in_channels,
        drop_last=wanted.drop_last or had.drop_last,
        project=project,
    )


def _features_note(wanted: SurgeryPart, width: int | None, count: int | None) -> tuple[str, ...]:
    if not wanted.drop_last or wanted.project or not count:
        return ()
    said = (
        f"without its last layer the model gives {width} features, which the loss takes for the "
        f"scores of as many classes (--project {count} puts a layer behind them)"
    )
    return (said,)


def restore(
    info: CheckpointInfo, tensors: dict[str, Tensor], registry: Registry, path: Path | str = ""
) -> nn.Module:
    """Rebuild exactly the model that a checkpoint was written from, in eval mode.

    Args:
        info: What the checkpoint says.
        tensors: Its weights.
        registry: Where the architecture is.
        path: The file, for messages.

    Raises:
        CheckpointError: The weights do not fit what it says.
        UnknownNameError: The plugin that has the model is not installed.
    """
    from zoo.engine.start.start import from_info

    try:
        start = from_info(info, tensors, registry, None, {}, {})
        return _restored(start, registry, tensors, 0).eval()
    except CheckpointError as error:
        raise CheckpointError(f"{path}: {error.message}", hint=error.hint) from error


def headless(model: nn.Module, info: CheckpointInfo, registry: Registry) -> nn.Module:
    """A checkpoint's model without its last layer: it gives what that layer is given, (N, D).

    Args:
        model: As :func:`restore` gave it; it stays as it is, and the weights are shared with it.
        info: What the checkpoint says.
        registry: Where the architecture is.

    Raises:
        UsageError: The head is of a kind that cannot be dropped.
    """
    from zoo.engine.start.start import from_info

    start = from_info(info, {}, registry, None, {}, {})
    shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
    twin = copy.deepcopy(model, shared)
    if not start.surgery.drop_last:
        operate(twin, _last_layer(start), SurgeryPart(drop_last=True))
    return twin


def skeleton(info: CheckpointInfo, registry: Registry) -> tuple[Built, Start]:
    """The architecture that a checkpoint was written from, unfilled, for resuming a run.

    Args:
        info: What the checkpoint says.
        registry: Where the architecture is.

    Returns:
        The model with random weights, and a start that knows what it began from.
    """
    from zoo.engine.start.start import from_info

    start = from_info(info, {}, registry, None, {}, dict(info.base))
    model = _construct(start, registry, start.num_classes, 0)
    report = operate(model, start.spec, start.surgery, classes=start.num_classes)
    if start.surgery.project and not info.recipe.get("surgery", {}).get("project"):
        report = replace(report, head=_last_layer(start).head)  # the run made its last layer only
    built = Built(
        model=model,
        spec=start.spec,
        input=start.input,
        surgery=start.surgery,
        report=replace(report, changes=()),
    )
    return built, start


def _restored(start: Start, registry: Registry, tensors: dict[str, Tensor], seed: int) -> nn.Module:
    model = _construct(start, registry, start.num_classes, seed)
    if start.surgery != SurgeryPart():
        operate(model, start.spec, start.surgery, classes=start.num_classes)
    fill(model, tensors)
    return model


def _construct(start: Start, registry: Registry, num_classes: int | None, seed: int) -> nn.Module:
    """The bare architecture; its random weights depend on the seed alone."""
    options: dict[str, Any] = {**start.options}
    count = num_classes or start.spec.classes
    if count is not None:
        options["num_classes"] = count
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive(seed, BUILD))
        try:
            model: nn.Module = registry.build("model", start.spec.qualified, **options)
        except (ValueError, TypeError, AssertionError, RuntimeError) as error:
            if not start.options:
                raise
            said = ", ".join(f"{name} = {value}" for name, value in start.options.items())
            raise UsageError(
                f"{start.spec.qualified} cannot be built with {said}: {first_line(error)}",
                hint=f"zoo info {start.spec.qualified} shows its options",
            ) from error
    if not isinstance(model, nn.Module):
        raise PluginError(
            f"model {start.spec.qualified}: {start.spec.target} gave a {type(model).__name__}, "
            "not a torch.nn.Module",
            hint=f"zoo plugins check {start.spec.plugin}",
        )
    if num_classes and is_bare(model, start.spec):  # its builder makes features whatever is asked
        operate(model, start.spec, SurgeryPart(), classes=num_classes, seed=derive(seed, BUILD))
    return model


def _check_finite(model: nn.Module, start: Start) -> None:
    """Refuse starting weights that hold NaN or infinities where they are used."""
    broken = [
        name
        for name, tensor in model.state_dict().items()
        if tensor.is_floating_point() and not is_finite(tensor)
    ]
    if broken:
        more = f" and {len(broken) - 3} more" if len(broken) > 3 else ""
        raise CheckpointError(
            f"the weights of {start.spec.qualified} hold NaN or infinite values in "
            f"{', '.join(broken[:3])}{more}",
            hint=f"choose others: zoo info {start.spec.qualified}",
        )


def _fitted(
    start: Start,
    wanted: SurgeryPart,
    classes: tuple[str, ...],
    registry: Registry,
    seed: int,
) -> tuple[Start, SurgeryPart]:
    """The start, its head made if it has none and one is needed; and what surgery is to do."""
    count = len(classes) or wanted.classes
    if start.surgery.drop_last and not wanted.drop_last and count:
        return _with_head(start, registry, count, seed), wanted
    part, said = _head_plan(start, wanted, classes)
    return replace(start, notes=(*start.notes, *said)), part


def _with_head(start: Start, registry: Registry, count: int, seed: int) -> Start:
    """A start from features, with a new head for ``count`` classes in its old place."""
    head = start.spec.head
    fresh = _construct(start, registry, count, derive(seed, SURGERY)).state_dict()
    new = {n: t for n, t in fresh.items() if n == head or n.startswith(f"{head}.")}
    return replace(
        start,
        tensors={**(start.tensors or {}), **new},
        num_classes=count,
        classes=(),
        surgery=replace(start.surgery, drop_last=False),
        notes=(*start.notes, f"the weights give features: {head} is new, for {count} classes"),
    )


def _last_layer(start: Start) -> ModelSpec:
    """The model's entry with the head where a projection has left it: ``fc.2`` of two layers."""
    layers = start.surgery.project
    if not layers:
        return start.spec
    return replace(start.spec, head=f"{start.spec.head}.{2 * (len(layers) - 1)}")


def _head_plan(
    start: Start, wanted: SurgeryPart, classes: tuple[str, ...]
) -> tuple[SurgeryPart, tuple[str, ...]]:
    """Keep the weights' head only where it means the same classes."""
    if wanted.project or wanted.drop_last or not classes:
        return wanted, ()
    if start.classes and start.classes != classes and start.num_classes == len(classes):
        said = "the weights' head is for other classes of the same number: it starts anew"
        return replace(wanted, reset_head=True), (said,)
    if not start.classes and start.num_classes == len(classes) and not wanted.reset_head:
        said = (
            f"the weights' head has {len(classes)} outputs, as many as the data has classes: "
            "kept (--reset-head starts it anew)"
        )
        return wanted, (said,)
    return wanted, ()


def surgery_record(part: SurgeryPart) -> dict[str, Any]:
    """Surgery as a checkpoint's metadata keeps it."""
    return {
        key: list(value) if isinstance(value, tuple) else value
        for key, value in asdict(part).items()
        if value not in (None, False, (), [])
    }


def is_convolutional(model: nn.Module) -> bool:
    """Whether the model's work is convolutions, so that NHWC memory pays.

    A patch embedding alone does not make a transformer convolutional.
    """
    convolutions = sum(isinstance(m, torch.nn.Conv2d) for m in model.modules())
    attention = sum(isinstance(m, torch.nn.MultiheadAttention) for m in model.modules())
    return convolutions > 2 and not attention
