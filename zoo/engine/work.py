"""How much a model computes, and what that says about precision, memory format and threads.

Only ``auto`` and defaults are decided here, by fixed rules, so that a recipe means the same on
every run; ``tests/bench/choices.py`` measures whether the rules hold on a machine.
"""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import torch
from torch import nn

from zoo.engine.parts import is_convolutional
from zoo.engine.tryout import forward_once

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from zoo.core.recipe import DevicePart
    from zoo.core.specs import InputSpec
    from zoo.engine.place import Place

USES: Final = 120
"""Each parameter must be used so often in a step (multiplications by parameters), or casting the
parameters costs more than bf16 gains."""
DEPTHWISE: Final = 0.035
"""With a larger share of the multiplications in depthwise convolutions (MobileNet, EfficientNet)
bf16 is slower on CPUs, which have no fast kernels for them; with less (ConvNeXt) it is faster."""
LARGE: Final = 64
"""Pixels a side: below, maps get too small for channels_last to pay."""
TINY: Final = 10_000_000
"""Multiplications of a batch: below, one thread is as fast as several."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a model does with one image.

    Attributes:
        macs: Multiplications with a parameter in convolutions, linear layers and attention.
        params: Parameters.
        depthwise: Share of them in depthwise convolutions.
        convolutional: Whether its work is convolutions.
        side: The shorter edge of the image in pixels.
    """

    macs: int
    params: int
    depthwise: float
    convolutional: bool
    side: int


def work_of(model: nn.Module, shown: InputSpec) -> Work | None:
    """Count what a model does with one image; nothing is computed where torch can do without.

    Args:
        model: On the CPU; stays as it is.
        shown: What it is shown, (C, H, W).

    Returns:
        ``None`` if none of its layers is one that is counted.
    """
    counted: dict[str, list[tuple[int, bool]]] = {}

    def count(module: nn.Module, _inputs: Any, output: Any) -> None:
        out: Tensor = output[0] if isinstance(output, tuple) else output
        narrow = isinstance(module, nn.Conv2d) and module.groups == module.in_channels > 1
        counted.setdefault(out.device.type, []).append((_macs(module, out), narrow))

    layers = [m for m in model.modules() if isinstance(m, _LAYERS)]
    hooks = [layer.register_forward_hook(count) for layer in layers]
    try:
        forward_once(model, shown)
    finally:
        for hook in hooks:
            hook.remove()
    found = counted.get("cpu") or counted.get("meta")  # a model that needs values runs twice
    if not found:
        return None
    total = sum(macs for macs, _ in found)
    return Work(
        macs=total,
        params=sum(parameter.numel() for parameter in model.parameters()),
        depthwise=sum(macs for macs, narrow in found if narrow) / max(1, total),
        convolutional=is_convolutional(model),
        side=min(shown.size[1:]),
    )


_LAYERS: Final = (nn.Conv2d, nn.Linear, nn.MultiheadAttention)


def _macs(module: nn.Module, out: Tensor) -> int:
    """Multiplications with parameters that gave an output ``(..., K)`` or ``(N, K, H, W)``."""
    if isinstance(module, nn.Conv2d):
        return out.numel() * module.weight[0].numel()
    if isinstance(module, nn.Linear):
        return out.numel() * module.in_features
    return out.numel() * 4 * module.embed_dim if isinstance(module, nn.MultiheadAttention) else 0


def suited(place: Place, part: DevicePart, work: Work | None, batch_size: int) -> Place:
    """Decide what the recipe left open, now that the model is known.

    On accelerators, bf16 and channels_last pay for every convolutional model; on a CPU, small
    steps and depthwise convolutions are faster in fp32.

    Args:
        place: As chosen without the model.
        part: The recipe's device section.
        work: Of the model; ``None`` = unknown: it has no layer that channels_last or threads help.
        batch_size: Images of a step.

    Returns:
        The place, with the reasons for what is unusual.
    """
    if work is None:
        return replace(place, channels_last=bool(part.channels_last))
    cpu = place.device.type == "cpu"
    why: list[str] = []
    if part.precision == "auto" and cpu and place.precision == "bf16":
        reason = _against_bf16(work, batch_size)
        if reason:
            place = replace(place, precision="fp32")
            why.append(reason)
    if part.channels_last is None:
        place = replace(place, channels_last=work.convolutional and not (cpu and work.side < LARGE))
    if part.threads is None and cpu and place.threads > 1 and work.macs * batch_size < TINY:
        place = replace(place, threads=1)
        why.append("more threads would not help steps this small")
    return replace(place, why=tuple(why))


@contextmanager
def enough_threads(place: Place, module: nn.Module, inputs: Tensor) -> Iterator[None]:
    """One thread for a step of a head on kept vectors, if that is too small for more.

    Each parameter is used once for a vector. The frozen part before it has all threads again.

    Args:
        place: Where the process computes.
        module: What the step trains.
        inputs: What it is shown; vectors ``(N, D)``, or anything else, which has all threads.
    """
    few = place.device.type == "cpu" and place.threads > 1 and inputs.ndim == 2
    if few:
        trained = sum(p.numel() for p in module.parameters() if p.requires_grad)
        few = trained * len(inputs) < TINY
    if not few:
        yield
        return
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _against_bf16(work: Work, batch_size: int) -> str:
    if work.depthwise > DEPTHWISE:
        return "bf16 is slower with depthwise convolutions"
    if work.macs * batch_size < USES * work.params:
        return "bf16 does not pay for steps this small"
    return ""
