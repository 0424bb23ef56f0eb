"""Low-rank adapters of weights (LoRA, Hu et al. 2021, https://arxiv.org/abs/2106.09685).

Beside a weight ``W`` (O, I) that does not train stand two small matrices, ``down`` (R, I) and ``up``
(O, R); the layer computes with ``W + scale * up @ down``. A convolution's weight (O, C, H, W) is
taken as the matrix (O, C * H * W). ``up`` is 0 in the beginning: the model computes what it did.

There are two ways to it. What a layer *gives* can be added to: the gradient of the whole weight is
never computed (:func:`beside`). Where a weight is used without calling its layer, as attention does
with its projections, the weight itself is what it and the matrices make (:func:`inside_of`):
always right, but its gradient is computed whole, as if it trained.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it
from torch.nn.utils import parametrize

if TYPE_CHECKING:
    from collections.abc import Mapping

DOWN, UP, SCALE = "lora_down", "lora_up", "lora_scale"
CHILD = "lora"
"""Name of the module that is put under a layer whose output is added to."""


class LowRank(nn.Module):
    """The two matrices of one weight.

    Args:
        weight: The weight (O, ...), whose type and device they take.
        rank: Columns of ``up``; at most what the weight's matrix can have.
        scale: What their product is multiplied by.
        generator: Draws ``down``, as a linear layer's weight is drawn.
    """

    lora_down: Tensor
    lora_up: Tensor
    lora_scale: Tensor

    def __init__(
        self, weight: Tensor, rank: int, scale: float, generator: torch.Generator | None = None
    ) -> None:
        super().__init__()
        out, given = len(weight), weight[0].numel()
        rank, bound = min(rank, out, given), 1 / math.sqrt(given)
        drawn = torch.rand(rank, given, generator=generator) * (2 * bound) - bound
        self.lora_down = nn.Parameter(drawn.to(weight))
        self.lora_up = nn.Parameter(weight.new_zeros(out, rank))
        self.register_buffer(SCALE, torch.tensor(scale, dtype=weight.dtype, device=weight.device))

    def forward(self, weight: Tensor) -> Tensor:
        """The weight (O, ...) with the product added."""
        return added(weight, self.lora_down, self.lora_up, self.lora_scale)

    def change(self, layer: nn.Module, x: Tensor) -> Tensor:
        """What is added to the output of a linear layer or convolution for its input ``x`` (N, ...)."""
        if isinstance(layer, nn.Conv2d):
            down = self.lora_down.view(-1, *layer.weight.shape[1:])
            small = layer._conv_forward(x, down, None)
            return F.conv2d(small * self.lora_scale, self.lora_up[:, :, None, None])
        return F.linear(F.linear(x, self.lora_down) * self.lora_scale, self.lora_up)


def beside(layer: nn.Module, made: LowRank) -> None:
    """Let a linear layer's or convolution's output be added to from now on."""
    layer.add_module(CHILD, made)
    layer.register_forward_hook(_add, with_kwargs=True)


def _add(
    layer: nn.Module, args: tuple[Any, ...], options: dict[str, Any], output: Tensor
) -> Tensor:
    x = args[0] if args else next(iter(options.values()))
    adapter = layer.get_submodule(CHILD)
    assert isinstance(adapter, LowRank)
    return output + adapter.change(layer, x)


def inside_of(layer: nn.Module, name: str, made: LowRank) -> None:
    """Let a layer's weight ``name`` be what it and the matrices make from now on."""
    parametrize.register_parametrization(layer, name, made)


def is_adapter(name: str) -> bool:
    """Whether a parameter of that dotted name belongs to an adapter."""
    return name.endswith((f".{DOWN}", f".{UP}"))


def added(weight: Tensor, down: Tensor, up: Tensor, scale: Tensor) -> Tensor:
    """``weight + scale * up @ down`` in the weight's shape (O, ...)."""
    return weight + (scale * (up @ down)).view(weight.shape)


def merged(state: Mapping[str, Any]) -> dict[str, Any]:
    """A state dict with its adapters added into the weights, under the names that it has without.

    Args:
        state: Of a model, with or without adapters; stays as it is.
    """
    made = dict(state)
    for key in [key for key in state if key.endswith(f".{DOWN}")]:
        owner = key.removesuffix(f".{DOWN}")
        down, up, scale = (made.pop(f"{owner}.{name}") for name in (DOWN, UP, SCALE))
        old, new = weight_of(owner)
        made[new] = added(made.pop(old), down, up, scale)
    return made


def weight_of(owner: str) -> tuple[str, str]:
    """Where the weight of the adapter at a dotted path is, and what it is called without one."""
    *path, last = owner.split(".")
    if last == CHILD:
        weight = ".".join((*path, "weight"))
        return weight, weight
    *layer, _, name = path  # LAYER.parametrizations.NAME.0
    return ".".join((*path, "original")), ".".join((*layer, name))
