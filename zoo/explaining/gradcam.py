"""Grad-CAM: where in an image a layer finds what speaks for a class (Selvaraju et al. 2017).

Of the layer's maps A_k, those count that raise the class's score: each is weighted by the mean
over its places of the score's gradient, and what is left of their sum above zero is the map. The
score is the output before the softmax. Gradients are taken of the layer's output alone, which is
cut off from what came before it: parameters get none, frozen or not, and nothing is computed or
kept for the layers below.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.engine.evaluate import main_output
from zoo.errors import UsageError
from zoo.explaining.maps import first_tensor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo.explaining.maps import Layer


def grad_cam(
    model: nn.Module, layer: Layer, images: Tensor, classes: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """Explain a batch.

    Args:
        model: In eval mode; its parameters, flags and hooks are as before afterwards.
        layer: Where to look.
        images: ``(N, C, H, W)`` as the model is shown them.
        classes: Class of each image ``(N,)``; default: the one with the largest output.

    Returns:
        Maps ``(N, h, w)`` from 0 on, in the unit of the score, and outputs ``(N, K)``; both fp32.

    Raises:
        UsageError: The model gives something else than a score a class, or the score does not
            depend on the layer.
    """
    with plain(model), _cut(model.get_submodule(layer.path)) as leaves:
        outputs = main_output(model(images))
        check_scores(model, outputs)
        chosen = outputs.argmax(1) if classes is None else classes.to(outputs.device)
        score = outputs.gather(1, chosen[:, None]).sum()  # images do not depend on each other
        (grad,) = (
            torch.autograd.grad(score, leaves[-1:], allow_unused=True)
            if score.requires_grad
            else (None,)
        )
    if grad is None:
        raise UsageError(f"the answer does not depend on layer {layer.path!r}")
    maps, slopes = (layer.spatial.maps(t.float()) for t in (leaves[-1].detach(), grad))
    weighted = (slopes.mean((2, 3), keepdim=True) * maps).sum(1)
    return weighted.relu(), outputs.detach().float()


def check_scores(model: nn.Module, outputs: Tensor) -> None:
    """Make sure that outputs are scores of classes, ``(N, K)``.

    Raises:
        UsageError: They are not.
    """
    if outputs.ndim != 2:
        shape = ", ".join(map(str, outputs.shape[1:]))
        raise UsageError(
            f"{type(model).__name__} gives (N, {shape}), not one score a class (N, K)",
            hint="only classifiers can be asked where they look",
        )


@contextmanager
def plain(model: nn.Module) -> Iterator[None]:
    """Let no parameter ask for a gradient, and every module be called; all is put back.

    (torch computes a whole encoder layer at once where nothing asks for a gradient, and calls none
    of the modules in it.)
    """
    flags = [(parameter, parameter.requires_grad) for parameter in model.parameters()]
    fast = torch.backends.mha.get_fastpath_enabled()
    try:
        for parameter, _ in flags:
            parameter.requires_grad = False
        torch.backends.mha.set_fastpath_enabled(False)
        with torch.enable_grad():
            yield
    finally:
        torch.backends.mha.set_fastpath_enabled(fast)
        for parameter, flag in flags:
            parameter.requires_grad = flag


@contextmanager
def _cut(module: nn.Module) -> Iterator[list[Tensor]]:
    """Begin the graph anew at a module's (first) output; gives the leaves, a call a leaf."""
    leaves: list[Tensor] = []

    def hook(_module: nn.Module, _args: object, output: Any) -> Any:
        tensor = first_tensor(output)
        if tensor is None:
            return output
        leaves.append(tensor.detach().requires_grad_())
        new = leaves[-1].clone()  # what follows may write into it
        if isinstance(output, Tensor):
            return new
        rest = (new, *output[1:])
        return type(output)(*rest) if hasattr(output, "_fields") else type(output)(rest)

    handle = module.register_forward_hook(hook)
    try:
        yield leaves
    finally:
        handle.remove()
