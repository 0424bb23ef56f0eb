"""An averaged copy of a model: exponential moving average of parameters and buffers."""

from __future__ import annotations

from copy import deepcopy
from typing import TYPE_CHECKING

import torch

from zoo.engine.processes.sharded import local

if TYPE_CHECKING:
    from torch import Tensor, nn


class Ema:
    """``average = decay * average + (1 - decay) * value`` after every optimizer step.

    Floating parameters and buffers are averaged, the rest (counters) is copied. The average
    starts as a copy of the model, and a tensor that never changes stays exactly as it is.

    Args:
        model: The model to follow, after surgery and freezing.
        decay: Share of the old average that stays, below 1.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        self.decay = decay
        self.module = deepcopy(model).requires_grad_(requires_grad=False).eval()

    @torch.no_grad()
    def update(self, model: nn.Module) -> None:
        """Take one step towards the model's present values."""
        averages: list[Tensor] = []
        values: list[Tensor] = []
        for average, value in zip(_tensors(self.module), _tensors(model), strict=True):
            if average.is_floating_point():
                averages.append(average)
                values.append(value)
            else:
                average.copy_(value)
        torch._foreach_lerp_(averages, values, 1 - self.decay)


def _tensors(model: nn.Module) -> list[Tensor]:
    return [*(local(p.data) for p in model.parameters()), *model.buffers()]
