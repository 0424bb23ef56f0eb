"""A model as the ranks train it: their gradients averaged, in the right forward and backward."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from zoo.engine.processes.sharded import is_sharded

if TYPE_CHECKING:
    from zoo.engine.place import Place
    from zoo.engine.processes.distributed import World


def wrap(module: nn.Module, world: World, place: Place) -> nn.Module:
    """The module as training calls it: under DDP where there are several ranks, compiled on wish.

    A sharded module does without DDP. Call it after freezing, and again after each unfreezing.
    """
    if world.size > 1 and not is_sharded(module):
        ids = None if place.device.type == "cpu" else [place.device]
        module = DistributedDataParallel(module, device_ids=ids)
    return torch.compile(module) if place.compile else module  # type: ignore[return-value]


def quietly(module: nn.Module, *, last: bool) -> AbstractContextManager[Any]:
    """Keep DDP and FSDP from averaging gradients except in the last forward and backward.

    The forward has to be inside, too.
    """
    inner = getattr(module, "_orig_mod", module)
    if is_sharded(inner):
        sharded: Any = inner
        sharded.set_requires_gradient_sync(last)
    if isinstance(inner, DistributedDataParallel) and not last:
        quiet: AbstractContextManager[Any] = inner.no_sync()
        return quiet
    return nullcontext()
