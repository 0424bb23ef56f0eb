"""Models as structure alone, and a second opinion on what reaches a place in one."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import nn
from torch.func import functional_call

from zoo.engine.freezing.trace import mode


@contextlib.contextmanager
def unfilled() -> Iterator[None]:
    """Build models without filling their weights: only their structure matters."""
    with pytest.MonkeyPatch.context() as patch:
        for name in dir(nn.init):
            if name.endswith("_") and not name.startswith("__"):
                patch.setattr(nn.init, name, lambda tensor, *_, **__: tensor)
        yield


def filled(model: nn.Module, seed: int = 1) -> nn.Module:
    """Give an unfilled model numbers that keep signals alive: one piece of noise, over and over."""
    noise = torch.randn(65_521, generator=torch.Generator().manual_seed(seed))
    with torch.no_grad():
        for name, tensor in model.named_parameters():
            if tensor.ndim < 2:
                tensor.fill_(0.0 if name.endswith("bias") else 1.0)
                continue
            flat, scale = tensor.view(-1), (2 / tensor[0].numel()) ** 0.5
            for piece in flat.split(len(noise)):
                torch.mul(noise[: len(piece)], scale, out=piece)
        for module in model.modules():
            if isinstance(module, nn.BatchNorm2d):
                assert module.running_mean is not None
                assert module.running_var is not None
                module.running_mean.copy_(0.1 * noise[: module.num_features])
                module.running_var.copy_(0.5 + noise[-module.num_features :].abs())
    return model


def feeds(model: nn.Module, path: str, frozen: frozenset[str], expects: Any) -> bool:
    """Independently of the cone: does anything but ``frozen`` reach the output of ``path``?"""
    tensors: dict[str, torch.Tensor] = {
        n: nn.Parameter(torch.empty_like(p, device="meta"), requires_grad=n not in frozen)
        for n, p in model.named_parameters()
    }
    tensors |= {n: torch.empty_like(b, device="meta") for n, b in model.named_buffers()}
    found: list[bool] = []
    hook = model.get_submodule(path).register_forward_hook(
        lambda _m, _a, output: found.append(output.requires_grad)
    )
    with mode(model, training=False):
        functional_call(model, tensors, (torch.empty((2, *expects.size), device="meta"),))
    hook.remove()
    return any(found)
