"""Running a model with other tensors in place of its own, which are not touched."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from torch.func import functional_call

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch import Tensor, nn

_TABLES = ("_parameters", "_buffers", "_modules")


def stand_ins(model: nn.Module, make: Callable[[Tensor], Tensor]) -> dict[str, Tensor]:
    """A tensor in place of each parameter and buffer, by its name; shared ones get a shared one.

    Args:
        model: Any module; modules and tensors may be there under several names.
        make: Gives the tensor for a parameter or buffer ``(...)``.

    Returns:
        Name -> tensor ``(...)`` of the same shape: each place that holds one, under the first name of its module.
    """
    made: dict[int, Tensor] = {}
    found: dict[str, Tensor] = {}
    for path, module in model.named_modules():
        for name, tensor in (*module._parameters.items(), *module._buffers.items()):
            if tensor is not None:
                if id(tensor) not in made:
                    made[id(tensor)] = make(tensor)
                found[f"{path}.{name}" if path else name] = made[id(tensor)]
    return found


def call_with(model: nn.Module, tensors: dict[str, Tensor], images: Tensor) -> Any:
    """What the model makes of images (N, C, H, W) with :func:`stand_ins` in place of its tensors.

    They are swapped place by place: swapped by name, as torch does unless told otherwise, a module
    that is there under two names is swapped twice and given back the stand-in. What the model noted
    of them in attributes of its own (attention biases, in eval mode) is forgotten.
    """
    with _noting_nothing(model):
        return functional_call(model, tensors, (images,), tie_weights=False)


@contextmanager
def _noting_nothing(model: nn.Module) -> Iterator[None]:
    """Put plain attributes of all modules back, with what the dicts and lists among them held."""
    before = [
        (table, {name: (v, _members(v)) for name, v in table.items() if name not in _TABLES})
        for table in (module.__dict__ for module in model.modules())
    ]
    try:
        yield
    finally:
        for table, kept in before:
            for name in [n for n in table if n not in kept and n not in _TABLES]:
                del table[name]
            for name, (value, members) in kept.items():
                table[name] = value
                if members is not None:
                    value.clear()
                    (value.extend if isinstance(value, list) else value.update)(members)


def _members(value: object) -> Any:
    return value.copy() if isinstance(value, dict | list | set) else None
