"""Parameter groups, optimizer and schedule, built after freezing from what trains.

Groups are named and made once: decayed and not decayed (norms, biases), by depth where rates
differ by stage. Parameters that a later epoch unfreezes are in their group from the start; they
have no gradient until then, so an optimizer leaves them and their moments alone.
"""

from __future__ import annotations

import inspect
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from torch import nn

from zoo.core.recipe import OptimPart
from zoo.engine.schedule import Schedule
from zoo.errors import PluginError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch.optim import Optimizer

    from zoo.core.registry import Registry
    from zoo.core.specs import ModelSpec

NORMS: tuple[type[nn.Module], ...] = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
    nn.LocalResponseNorm,
)


def parameter_groups(
    model: nn.Module, part: OptimPart, spec: ModelSpec | None = None, *, later: Iterable[str] = ()
) -> list[dict[str, Any]]:
    """Sort what trains into named groups.

    Args:
        model: After surgery and freezing.
        part: The recipe's optimizer section.
        spec: Says where head and stages are; without it every rate is the same.
        later: Names of parameters that are frozen now and will be unfrozen.

    Returns:
        Groups with ``name``, ``params``, ``lr`` and ``weight_decay``, head first.

    Raises:
        UsageError: Nothing trains, or rates by stage are asked of a model without stages.
    """
    if part.stage_lr_decay != 1.0 and not (spec and spec.stages):
        raise UsageError(
            "--set optim.stage_lr_decay needs a model that declares its stages",
            hint="leave it at 1.0 for this model",
        )
    wanted, flat = set(later), _undecayed(model)
    groups: dict[str, dict[str, Any]] = {}
    for name, parameter in model.named_parameters():
        if not (parameter.requires_grad or name in wanted):
            continue
        place, multiplier = _rate(name, part, spec)
        decay = part.weight_decay if name not in flat else 0.0
        label = f"{place}/{'decay' if name not in flat else 'no-decay'}"
        fresh = {"name": label, "params": [], "lr": part.lr * multiplier, "weight_decay": decay}
        groups.setdefault(label, fresh)["params"].append(parameter)
    if not groups:
        raise UsageError("nothing trains: every parameter is frozen", hint="freeze less")
    return sorted(groups.values(), key=lambda group: -group["lr"])


def _undecayed(model: nn.Module) -> set[str]:
    names: set[str] = set()
    for path, module in model.named_modules():
        for name, parameter in module.named_parameters(recurse=False):
            if isinstance(module, NORMS) or name.endswith("bias") or parameter.ndim <= 1:
                names.add(f"{path}.{name}" if path else name)
    return names


def _rate(name: str, part: OptimPart, spec: ModelSpec | None) -> tuple[str, float]:
    """Where a parameter belongs, and its rate's multiplier."""
    if spec is None:
        return "all", 1.0
    if spec.head and under(name, (spec.head,)):
        return "head", part.head_lr_mult
    if part.stage_lr_decay == 1.0:
        return ("body", 1.0) if spec.head else ("all", 1.0)
    depth = len(spec.stages)
    for index, (alias, paths) in enumerate(spec.stages):
        if under(name, paths):
            return alias, part.stage_lr_decay ** (depth - index)
    return "neck", 1.0


def under(name: str, paths: Iterable[str]) -> bool:
    """Whether a dotted name is one of the paths or lies below one."""
    return any(name == path or name.startswith(f"{path}.") for path in paths)


def build_optimizer(registry: Registry, part: OptimPart, groups: list[dict[str, Any]]) -> Optimizer:
    """Build the recipe's optimizer over the groups.

    ``momentum`` is passed on where the optimizer has it. What the optimizer's registry entry states
    stays where the recipe has the usual value.

    Raises:
        UnknownNameError: No plugin has it.
        UsageError: It does not take one of the options, or needs a closure (L-BFGS).
        PluginError: Its target gives no optimizer.
    """
    options = dict(part.options)
    spec = registry.find("optimizer", part.name)
    usual = part.momentum == OptimPart().momentum
    if "momentum" in _takes(spec.target) and not (usual and "momentum" in spec.options):
        options.setdefault("momentum", part.momentum)
    for key in ("lr", "weight_decay"):
        if key in options:
            raise UsageError(f"optim.options.{key} is set by optim.{key}", hint="drop the option")
    if "params" in options:
        raise UsageError("optim.options.params: zoo says what trains", hint="drop the option")
    optimizer: Optimizer = registry.build("optimizer", part.name, groups, lr=part.lr, **options)
    if not (hasattr(optimizer, "param_groups") and callable(getattr(optimizer, "step", None))):
        raise PluginError(
            f"optimizer {part.name}: {spec.target} gave a {type(optimizer).__name__}, "
            "not a torch.optim.Optimizer",
            hint="zoo plugins check PLUGIN asks each part for what it has to give",
        )
    closure = inspect.signature(type(optimizer).step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise UsageError(
            f"optimizer {part.name} evaluates the loss itself (a closure), zoo's loop does not",
            hint="zoo list --kind optimizer",
        )
    return optimizer


def as_stated(part: OptimPart, registry: Registry) -> OptimPart:
    """The recipe's optimizer section, with the weight decay that the optimizer's entry states.

    Args:
        part: The section; a weight decay other than the usual one stays.
        registry: Where the optimizer is.

    Raises:
        UnknownNameError: No plugin has it.
    """
    stated = registry.find("optimizer", part.name).options.get("weight_decay")
    if stated is None or part.weight_decay != OptimPart().weight_decay:
        return part
    return replace(part, weight_decay=float(stated))


def _takes(target: str) -> set[str]:
    from zoo.core.resolve import resolve

    found = resolve(target)
    try:
        return set(inspect.signature(found).parameters) if callable(found) else set()
    except (TypeError, ValueError):
        return set()


def build_schedule(
    registry: Registry, part: OptimPart, optimizer: Optimizer, *, steps_per_epoch: int
) -> Schedule:
    """Build warm-up and the recipe's schedule; call it after the optimizer, once.

    Args:
        registry: Where schedules are found.
        part: The recipe's optimizer section.
        optimizer: Its groups' present rates are the peaks.
        steps_per_epoch: Optimizer steps of one epoch.

    Raises:
        UnknownNameError: No plugin has the schedule.
        UsageError: It does not take one of the options.
    """
    spec = registry.find("scheduler", part.schedule)
    per_epoch = getattr(spec, "per", "step") == "epoch"
    for key in sorted({"optimizer", "total"} & part.schedule_options.keys()):
        raise UsageError(
            f"optim.schedule_options.{key} is not an option: zoo gives it", hint="drop the option"
        )
    steps = part.epochs * steps_per_epoch
    warmup = min(round(part.warmup * steps_per_epoch), steps // 2)
    epochs = part.epochs - warmup // steps_per_epoch
    count = epochs if per_epoch else steps - warmup
    inner = registry.build(
        "scheduler", part.schedule, optimizer, total=count, **part.schedule_options
    )
    return Schedule(optimizer, inner, warmup=warmup, per_epoch=per_epoch)
