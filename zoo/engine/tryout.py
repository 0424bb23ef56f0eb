"""One pass through a model before anything is trained: does it take images of this size?

A network that halves its image five times cannot take 16 pixels, and says so by an error from
deep inside torch. The pass runs on the ``meta`` device, where nothing is computed; a model that
needs values runs on its own device instead. Neither weights nor buffers nor random states change.
"""

from __future__ import annotations

from contextlib import nullcontext
from typing import TYPE_CHECKING

import torch
from torch import nn

from zoo.engine.evaluate import main_output
from zoo.engine.freezing.trace import mode
from zoo.engine.sizes import fit_input
from zoo.engine.standins import call_with, stand_ins
from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

    from zoo.core.specs import InputSpec


def try_out(
    model: nn.Module,
    shown: InputSpec,
    *,
    name: str = "",
    batch_size: int = 2,
    hold: Callable[[nn.Module], object] = lambda _model: None,
    declared: InputSpec | None = None,
) -> None:
    """Run a model once as training and evaluation will run it.

    Args:
        model: On the CPU, fp32.
        shown: What it will be shown.
        name: What it is called in messages.
        batch_size: Images of a training batch; batch norms on one pixel need two.
        hold: Puts the frozen part in eval mode.
        declared: What its registry entry says that it expects.

    Raises:
        UsageError: It does not take such images.
    """
    error = _trouble(model, shown, batch_size, hold)
    if error is not None:
        size = " x ".join(map(str, shown.size))
        wanted = next((m.in_channels for m in model.modules() if isinstance(m, nn.Conv2d)), 0)
        hint = "--size N with larger images, --batch-size 2 or more, or another model"
        if wanted and wanted != shown.size[0]:
            hint = f"its first convolution takes {wanted} channels: --in-channels {wanted}"
        elif declared is not None and _built_for(model, declared, batch_size, hold):
            hint = f"it is built for --size {declared.size[1]}"
            if name.startswith("timm/"):
                hint += (
                    f"; most of timm's can be for another: --model-option img_size={shown.size[1]}"
                )
        raise UsageError(
            f"{name or type(model).__name__} does not take images of {size}: {first_line(error)}",
            hint=hint,
        ) from error


def _built_for(
    model: nn.Module,
    declared: InputSpec,
    batch_size: int,
    hold: Callable[[nn.Module], object],
) -> bool:
    """Whether a model takes images of its declared size and none of twice that."""
    double = fit_input(declared, 2 * declared.size[1], None)
    own = takes(model, declared, batch_size=batch_size, hold=hold)
    return own and not takes(model, double, batch_size=batch_size, hold=hold)


def takes(
    model: nn.Module,
    shown: InputSpec,
    *,
    batch_size: int = 2,
    hold: Callable[[nn.Module], object] = lambda _model: None,
) -> bool:
    """Whether a model takes such images; arguments as of :func:`try_out`."""
    return _trouble(model, shown, batch_size, hold) is None


def _trouble(
    model: nn.Module, shown: InputSpec, batch_size: int, hold: Callable[[nn.Module], object]
) -> Exception | None:
    """Why it does not run as training or as evaluation will run it."""
    for training in (True, False):
        count = min(batch_size, 2) if training else 1
        with mode(model, training=training):
            hold(model)
            error = _runs(model, (count, *shown.size))
        if error is not None:
            return error
    return None


def forward_once(model: nn.Module, shown: InputSpec) -> None:
    """Run a model once, as evaluation will, so that hooks see who is called.

    Args:
        model: Stays as it is.
        shown: What it is shown.
    """
    with mode(model, training=False):
        _runs(model, (1, *shown.size))


def first_line(error: Exception) -> str:
    """What an error says, without the explanation below it."""
    return str(error).partition("\n")[0] or type(error).__name__


def _runs(model: nn.Module, size: tuple[int, ...]) -> Exception | None:
    """Why the model does not run on a batch of a size; ``None`` if it does."""
    first: Exception | None = None
    for device in ("meta", "cpu"):
        try:
            main_output(_once(model, size, device))
        except (RuntimeError, ValueError, TypeError, AssertionError, IndexError) as error:
            first = error
        else:
            return None
    return first


def _once(model: nn.Module, size: tuple[int, ...], device: str) -> Tensor:
    def stand_in(tensor: Tensor) -> Tensor:
        return torch.empty_like(tensor, device="meta") if device == "meta" else tensor.clone()

    state = stand_ins(model, lambda tensor: stand_in(tensor.detach()))
    quiet = torch.random.fork_rng(devices=[]) if device != "meta" else nullcontext()
    with quiet, torch.no_grad():
        images = torch.zeros(size, device=device)
        found: Tensor = call_with(model, state, images)
    return found
