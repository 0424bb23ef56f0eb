"""Nested state as tensors plus JSON, and back, bit for bit, without pickle.

Optimizers, schedules and scalers keep their state in nested dicts of tensors and plain values.
:func:`pack` moves each tensor to a flat table and leaves a JSON skeleton that points at it;
:func:`unpack` is its inverse. What JSON cannot say is tagged: ``{"$t": key}`` a tensor,
``{"$f": "inf"}`` a float that is not finite, ``{"$tuple": []}``, ``{"$d": []}`` a dict whose keys
are not text, ``{"$counter": []}``, ``{"$dtype": "float32"}``. A value of any other type is a
TypeError while saving: the moment when something can still be done about it.

Optimizer state is stored under parameter names. Positions, which torch uses, shift as soon as
another set of parameters is frozen.
"""

from __future__ import annotations

import math
from collections import Counter, OrderedDict, defaultdict
from typing import TYPE_CHECKING, Any

import torch

from zoo.engine.processes.sharded import spread
from zoo.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor, nn

_DICTS = (dict, OrderedDict, defaultdict)


def pack(value: Any, prefix: str, tensors: dict[str, Tensor]) -> Any:
    """Split nested state.

    Args:
        value: Dicts, lists, tuples, tensors and plain values, nested.
        prefix: Where the tensors' names start.
        tensors: Receives the tensors, unchanged and not copied.

    Returns:
        The skeleton: only what JSON can say.

    Raises:
        TypeError: Something else is in there; names where.
    """
    kind = type(value)
    if isinstance(value, torch.Tensor):
        tensors[prefix] = value.detach()
        return {"$t": prefix}
    if value is None or kind in (bool, int, str):
        return value
    if kind is float:
        return value if math.isfinite(value) else {"$f": repr(value)}
    if kind is torch.dtype:
        return {"$dtype": str(value).removeprefix("torch.")}
    if kind in (list, tuple):
        items = [pack(item, f"{prefix}/{index}", tensors) for index, item in enumerate(value)]
        return items if kind is list else {"$tuple": items}
    if kind is Counter or kind in _DICTS:
        return _pack_dict(value, prefix, tensors)
    raise TypeError(f"{prefix}: a {kind.__module__}.{kind.__qualname__} cannot be saved")


def _pack_dict(value: Mapping[Any, Any], prefix: str, tensors: dict[str, Tensor]) -> Any:
    plain = all(type(key) is str and not key.startswith("$") for key in value)
    if plain and type(value) is not Counter:
        return {key: pack(item, f"{prefix}/{key}", tensors) for key, item in value.items()}
    pairs = [
        [pack(key, f"{prefix}/key{index}", tensors), pack(item, f"{prefix}/{index}", tensors)]
        for index, (key, item) in enumerate(value.items())
    ]
    return {"$counter" if type(value) is Counter else "$d": pairs}


def unpack(skeleton: Any, tensors: Mapping[str, Tensor]) -> Any:
    """Put nested state together again.

    Raises:
        CheckpointError: The skeleton points at a tensor that is not there, or has an unknown tag.
    """
    if isinstance(skeleton, list):
        return [unpack(item, tensors) for item in skeleton]
    if not isinstance(skeleton, dict):
        return skeleton
    tag = next(iter(skeleton), "")
    if not tag.startswith("$"):
        return {key: unpack(item, tensors) for key, item in skeleton.items()}
    body = skeleton[tag]
    try:
        return _UNTAG[tag](body, tensors)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"the saved state is damaged at {tag} {body!r:.60}") from error


def _dict_of(pairs: Any, tensors: Mapping[str, Tensor]) -> dict[Any, Any]:
    return {unpack(key, tensors): unpack(item, tensors) for key, item in pairs}


_UNTAG: dict[str, Any] = {
    "$t": lambda body, tensors: tensors[body],
    "$f": lambda body, _: float(body),
    "$dtype": lambda body, _: getattr(torch, body),
    "$tuple": lambda body, tensors: tuple(unpack(item, tensors) for item in body),
    "$d": _dict_of,
    "$counter": lambda body, tensors: Counter(_dict_of(body, tensors)),
}


def pack_optimizer(
    optimizer: torch.optim.Optimizer, model: nn.Module, tensors: dict[str, Tensor]
) -> dict[str, Any]:
    """Split an optimizer's state, parameters by name.

    Args:
        optimizer: Any optimizer with torch's interface.
        model: Owner of the parameters.
        tensors: Receives ``optim/<parameter>/<key>``.

    Returns:
        The skeleton.

    Raises:
        TypeError: The state holds something that cannot be saved, or a parameter that is not
            the model's.
    """
    names = _names(optimizer, model)
    full = optimizer.state_dict()
    order = [index for group in full["param_groups"] for index in group["params"]]
    by_index = dict(zip(order, names, strict=True))
    state = {by_index[index]: value for index, value in full["state"].items()}
    groups = [
        {**group, "params": [by_index[index] for index in group["params"]]}
        for group in full["param_groups"]
    ]
    rest = {key: item for key, item in full.items() if key not in ("state", "param_groups")}
    own: dict[str, Tensor] = {}
    packed = pack(state, "optim", own)
    tensors.update(own)
    return {
        "class": type(optimizer).__name__,
        "state": packed,
        "strides": {name: list(t.stride()) for name, t in own.items() if _unusual(t)},
        "groups": pack(groups, "optim-groups", tensors),
        "rest": pack(rest, "optim-rest", tensors),
    }


def unpack_optimizer(
    optimizer: torch.optim.Optimizer,
    model: nn.Module,
    skeleton: Mapping[str, Any],
    tensors: Mapping[str, Tensor],
) -> None:
    """Load an optimizer's state into a fresh one over the same parameters.

    Raises:
        CheckpointError: The optimizer is of another class, or trains other parameters.
    """
    if skeleton["class"] != type(optimizer).__name__:
        raise CheckpointError(
            f"the state is of {skeleton['class']}, the run has {type(optimizer).__name__}",
            hint="resume with the run's own recipe",
        )
    names = _names(optimizer, model)
    groups = unpack(skeleton["groups"], tensors)
    saved = [name for group in groups for name in group["params"]]
    if sorted(saved) != sorted(names) or len(groups) != len(optimizer.param_groups):
        raise CheckpointError(_difference(saved, names), hint="resume with the run's own recipe")
    position = {name: index for index, name in enumerate(names)}
    known = dict(model.named_parameters())
    strides = skeleton.get("strides", {})
    tensors = {**tensors, **{n: _laid_out(tensors[n], strides[n]) for n in strides}}
    state = {
        position[key]: _spread(item, known[key])
        for key, item in unpack(skeleton["state"], tensors).items()
    }
    plan = [
        _aligned(group, mine, position, names)
        for group, mine in zip(groups, _by_group(optimizer, names), strict=True)
    ]
    for group, live in zip(plan, optimizer.param_groups, strict=True):
        _same_kinds(group, live)
    optimizer.load_state_dict(
        {**unpack(skeleton["rest"], tensors), "state": state, "param_groups": plan}
    )
    _restore_dtypes(optimizer, names, state)


def _unusual(tensor: Tensor) -> bool:
    """Whether a tensor lies in memory in another order than a file holds it (NHWC)."""
    if type(tensor) is not torch.Tensor or tensor.layout != torch.strided:
        return False
    return tensor.stride() != torch.empty(tensor.shape, device="meta").stride()


def _laid_out(tensor: Tensor, strides: Any) -> Tensor:
    """A tensor with the strides that it had when it was saved.

    Of another layout than the gradient, a moment is updated by slower kernels, which on a GPU
    round differently, too: a run that goes on would not give the bits of one that was not left.

    Raises:
        ValueError: They are no strides of a tensor of this shape without gaps.
    """
    order = sorted(range(tensor.ndim), key=lambda dim: (strides[dim], tensor.shape[dim] == 1))
    room = 1
    for dim in order:
        if tensor.shape[dim] > 1 and strides[dim] != room:
            raise ValueError(f"strides {strides} do not fit {tuple(tensor.shape)}")
        room *= tensor.shape[dim]
    return torch.empty_strided(tensor.shape, strides, dtype=tensor.dtype).copy_(tensor)


def _spread(state: Any, parameter: nn.Parameter) -> Any:
    """One parameter's state, sharded as the parameter is; counters stay as they are."""
    if not isinstance(state, dict):
        return state
    return {
        key: spread(value, parameter) if isinstance(value, torch.Tensor) and value.ndim else value
        for key, value in state.items()
    }


def _aligned(
    group: dict[str, Any], mine: list[str], position: dict[str, int], names: list[str]
) -> dict[str, Any]:
    if sorted(group["params"]) != sorted(mine):
        raise CheckpointError(
            _difference(group["params"], mine), hint="resume with the run's own recipe"
        )
    return {**group, "params": [position[name] for name in names if name in set(mine)]}


def _same_kinds(group: Mapping[str, Any], live: Mapping[str, Any]) -> None:
    """Check that a saved group's numbers are numbers and its pairs pairs, as the optimizer has them.

    Raises:
        CheckpointError: torch would take them as they are and fail in the first step.
    """
    for key, own in live.items():
        saved = group[key]
        if isinstance(own, tuple | list) and key != "params":
            fits = isinstance(saved, tuple | list) and len(saved) == len(own)
        elif isinstance(own, int | float | torch.Tensor):
            fits = isinstance(saved, int | float | torch.Tensor)
        else:
            fits = True
        if not fits:
            raise CheckpointError(
                f"the saved state is damaged: the optimizer's {key} is {saved!r:.60}"
            )


def _by_group(optimizer: torch.optim.Optimizer, names: list[str]) -> list[list[str]]:
    found, start = [], 0
    for group in optimizer.param_groups:
        found.append(names[start : start + len(group["params"])])
        start += len(group["params"])
    return found


def _names(optimizer: torch.optim.Optimizer, model: nn.Module) -> list[str]:
    known = {id(parameter): name for name, parameter in model.named_parameters()}
    try:
        return [known[id(p)] for group in optimizer.param_groups for p in group["params"]]
    except KeyError:
        raise TypeError("the optimizer holds a parameter that is not the model's") from None


def _difference(saved: list[str], mine: list[str]) -> str:
    gone, new = sorted(set(saved) - set(mine)), sorted(set(mine) - set(saved))
    shown = [f"{len(gone)} only saved ({', '.join(gone[:3])})"] if gone else []
    shown += [f"{len(new)} only here ({', '.join(new[:3])})"] if new else []
    return "the saved optimizer trains other parameters: " + (
        "; ".join(shown) or "the same ones in other groups"
    )


def _restore_dtypes(
    optimizer: torch.optim.Optimizer, names: list[str], state: Mapping[int, Any]
) -> None:
    """Undo torch's cast of state tensors to the parameter's dtype: exact means exact."""
    parameters = [p for group in optimizer.param_groups for p in group["params"]]
    for index in range(len(names)):
        for key, value in state.get(index, {}).items():
            live = optimizer.state[parameters[index]].get(key)
            if isinstance(value, torch.Tensor) and live.dtype != value.dtype:
                optimizer.state[parameters[index]][key] = value.to(live.device)
