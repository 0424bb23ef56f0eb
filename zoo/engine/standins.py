"""Running a model with other tensors in place of its own, which are not touched."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch.func import functional_call

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor, nn


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
    that is there under two names is swapped twice and given back the stand-in.
    """
    return functional_call(model, tensors, (images,), tie_weights=False)
