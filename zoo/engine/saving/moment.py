"""A moment of a run: everything that a save writes, as it was between two steps.

Training stands still while a moment is copied to memory of its own, and no longer: hashing,
writing and flushing happen beside the next steps.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Self

import torch
from torch import Tensor

from zoo.engine.adapters.lora import merged
from zoo.engine.finite import is_finite
from zoo.engine.saving.state import unpack

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.engine.saving.live import Live


@dataclass(frozen=True, slots=True, kw_only=True)
class Moment:
    """The whole state of a run at one step.

    Attributes:
        tensors: Flat tensors by name, of any shape.
        skeleton: The rest, as JSON can say it, pointing at the tensors.
        epoch: Epochs done.
        step: Optimizer steps done.
    """

    tensors: dict[str, Tensor]
    skeleton: dict[str, Any]
    epoch: int
    step: int

    @classmethod
    def of(cls, live: Live) -> Self:
        """The present moment; the tensors are the live ones, which the next step changes.

        Raises:
            TypeError: An optimizer or schedule holds something that cannot be saved.
        """
        tensors, skeleton = live.capture()
        at = live.position
        return cls(tensors=tensors, skeleton=skeleton, epoch=at.epoch, step=at.step)

    def weights(self) -> dict[str, Any]:
        """The ``state_dict()`` that is published, see :func:`published`."""
        return published(self.skeleton, self.tensors)

    def not_finite(self) -> str:
        """The name of a model's parameter or buffer that is not finite; ``""`` if there is none."""
        for name, tensor in unpack(self.skeleton["model"], self.tensors).items():
            floating = isinstance(tensor, torch.Tensor) and tensor.is_floating_point()
            if floating and not is_finite(tensor):
                return str(name)
        return ""


def published(skeleton: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """The weights of a captured state that are evaluated and published.

    They are the averaged copy's if there is one; adapters are added into them.
    """
    return merged(unpack(skeleton["ema"] or skeleton["model"], tensors))


class HostCopy:
    """Memory for one moment, on the host, taken at the first save and used again by every one."""

    def __init__(self) -> None:
        self._kept: dict[str, Tensor] = {}

    def take(self, live: Live) -> Moment:
        """Copy the present moment; the copy is good until the next one is taken.

        Raises:
            TypeError: An optimizer or schedule holds something that cannot be saved.
        """
        moment = Moment.of(live)
        devices: set[torch.device] = set()
        tensors: dict[str, Tensor] = {}
        for name, tensor in moment.tensors.items():
            place = self._kept.get(name)
            if place is None or place.shape != tensor.shape or place.dtype != tensor.dtype:
                place = _room(tensor)
            tensors[name] = place.copy_(tensor, non_blocking=True)
            devices.add(tensor.device)
        for device in devices:
            if device.type not in ("cpu", "meta"):
                torch.accelerator.synchronize(device)
        self._kept = tensors
        return replace(moment, tensors=tensors)


def _room(tensor: Tensor) -> Tensor:
    """Host memory for a tensor, page-locked where a CUDA device will fill it."""
    return torch.empty_like(tensor, device="cpu", pin_memory=tensor.device.type == "cuda")
