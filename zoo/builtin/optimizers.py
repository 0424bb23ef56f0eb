"""Optimizers that torch does not have, or not in a form that takes a whole network.

All are ordinary ``torch.optim.Optimizer``: groups, state dict, one ``step``. Weight decay is
decoupled (the weights shrink, the gradient does not change).
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, final

import torch
from torch import Tensor
from torch.optim import Optimizer

from zoo.plugin import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from torch.optim.optimizer import ParamsT


def _check(lr: float, betas: tuple[float, float]) -> None:
    if lr < 0:
        raise UsageError(f"a learning rate is at least 0, not {lr}")
    if not all(0.0 <= beta < 1.0 for beta in betas) or len(betas) != 2:
        raise UsageError(f"betas are two numbers in [0, 1), not {tuple(betas)}")


def _evaluated(closure: Callable[[], float] | None) -> float | None:
    if closure is None:
        return None
    with torch.enable_grad():
        return closure()


def _trained(group: dict[str, Any]) -> Iterator[tuple[Tensor, Tensor]]:
    for parameter in group["params"]:
        if parameter.grad is None:
            continue
        if parameter.grad.is_sparse:
            raise UsageError("this optimizer does not take sparse gradients", hint="use sgd")
        yield parameter, parameter.grad


@final
class Lion(Optimizer):
    """Steps of one size: the sign of a momentum, which is then moved by a second factor.

    It keeps one number a weight (Adam keeps two). Rates are 3 to 10 times below Adam's.

    Args:
        params: Parameters or groups.
        lr: Learning rate.
        betas: Share of the momentum in the step, and in the momentum itself.
        weight_decay: Times the learning rate, what the weights shrink by.

    Raises:
        UsageError: A number is out of range.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-4,
        betas: tuple[float, float] = (0.9, 0.99),
        weight_decay: float = 0.0,
    ) -> None:
        _check(lr, betas)
        super().__init__(params, {"lr": lr, "betas": tuple(betas), "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; ``closure`` evaluates the loss again, if given."""
        loss = _evaluated(closure)
        for group in self.param_groups:
            blend, keep = group["betas"]
            for parameter, gradient in _trained(group):
                state = self.state[parameter]
                if not state:
                    state["momentum"] = torch.zeros_like(parameter)
                momentum = state["momentum"]
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(torch.lerp(gradient, momentum, blend).sign_() * group["lr"])
                momentum.lerp_(gradient, 1 - keep)
        return loss


def _adam_direction(
    state: dict[str, Any], gradient: Tensor, betas: tuple[float, float], eps: float
) -> Tensor:
    """Adam's step before the learning rate, moments moved and corrected for their start."""
    if not state:
        state["step"] = torch.zeros(())
        state["mean"] = torch.zeros_like(gradient)
        state["square"] = torch.zeros_like(gradient)
    state["step"] += 1
    count = float(state["step"])
    state["mean"].lerp_(gradient, 1 - betas[0])
    state["square"].mul_(betas[1]).addcmul_(gradient, gradient, value=1 - betas[1])
    scale = math.sqrt(1 - betas[1] ** count)
    bottom = (state["square"].sqrt() / scale).add_(eps)
    move: Tensor = (state["mean"] / (1 - betas[0] ** count)).div_(bottom)
    return move


@final
class Lamb(Optimizer):
    """Adam whose step in each tensor is as long as the tensor itself: for large batches.

    Args:
        params: Parameters or groups.
        lr: Learning rate: the share of its own length by which a tensor may move.
        betas: Decay of the first and second moment.
        eps: Added below the fraction.
        weight_decay: Added to the step before its length is measured.

    Raises:
        UsageError: A number is out of range.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        _check(lr, betas)
        defaults = {"lr": lr, "betas": tuple(betas), "eps": eps, "weight_decay": weight_decay}
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; ``closure`` evaluates the loss again, if given."""
        loss = _evaluated(closure)
        for group in self.param_groups:
            for parameter, gradient in _trained(group):
                state = self.state[parameter]
                move = _adam_direction(state, gradient, group["betas"], group["eps"])
                move.add_(parameter, alpha=group["weight_decay"])
                own, length = parameter.norm(), move.norm()
                ratio = torch.where((own > 0) & (length > 0), own / length, torch.ones_like(own))
                parameter.sub_(move * (ratio * group["lr"]))
        return loss


def orthogonal(matrix: Tensor, *, steps: int = 5) -> Tensor:
    """Bring all singular values near 1 by Newton-Schulz iterations of a quintic.

    Args:
        matrix: ``(rows, columns)``.
        steps: Iterations.

    Returns:
        ``(rows, columns)`` with the same singular vectors; singular values about 0.7 to 1.2.
    """
    wide = matrix if matrix.shape[0] <= matrix.shape[1] else matrix.T
    now = wide.bfloat16() if wide.is_cuda else wide.float()
    now = now / now.norm().clamp_min(1e-7)
    for _ in range(steps):
        square = now @ now.T
        now = 3.4445 * now + (-4.775 * square + 2.0315 * square @ square) @ now
    done: Tensor = now if wide is matrix else now.T
    return done.to(matrix.dtype)


@final
class Muon(Optimizer):
    """Orthogonal steps for the network's matrices and filters, AdamW for everything else.

    torch's own Muon takes matrices only. Here filters ``(O, I, H, W)`` are matrices
    ``(O, I * H * W)``; biases, norms, anything below two dimensions, and the groups of the head
    (named ``head...`` by zoo's engine) get AdamW. Steps of both have the same size on average, so
    AdamW's learning rates fit.

    Args:
        params: Parameters or groups.
        lr: Learning rate, as for AdamW.
        momentum: Of the matrices' gradient.
        nesterov: Look one step ahead along the momentum.
        ns_steps: Newton-Schulz iterations.
        betas: AdamW's, for the rest.
        eps: AdamW's, for the rest.
        weight_decay: Times the learning rate, what the weights shrink by.

    Raises:
        UsageError: A number is out of range.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_steps: int = 5,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.1,
    ) -> None:
        _check(lr, betas)
        if not 0.0 <= momentum < 1.0:
            raise UsageError(f"momentum lies in [0, 1), not {momentum}")
        if ns_steps < 1:
            raise UsageError(f"ns_steps is at least 1, not {ns_steps}")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_steps": ns_steps,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
        }
        super().__init__(params, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Take one step; ``closure`` evaluates the loss again, if given."""
        loss = _evaluated(closure)
        for group in self.param_groups:
            head = str(group.get("name", "")).startswith("head")
            for parameter, gradient in _trained(group):
                state = self.state[parameter]
                if head or parameter.ndim < 2:
                    move = _adam_direction(state, gradient, group["betas"], group["eps"])
                else:
                    move = _orthogonal_direction(state, gradient, group)
                parameter.mul_(1 - group["lr"] * group["weight_decay"])
                parameter.sub_(move * group["lr"])
        return loss


def _orthogonal_direction(state: dict[str, Any], gradient: Tensor, group: dict[str, Any]) -> Tensor:
    if not state:
        state["momentum"] = torch.zeros_like(gradient)
    momentum: Tensor = state["momentum"]
    momentum.lerp_(gradient, 1 - group["momentum"])
    ahead: Tensor = (
        torch.lerp(gradient, momentum, group["momentum"]) if group["nesterov"] else momentum
    )
    matrix = ahead.reshape(len(ahead), -1)
    size = 0.2 * math.sqrt(max(matrix.shape))  # brings the mean square to about AdamW's
    move = orthogonal(matrix, steps=group["ns_steps"]) * size
    return move.reshape_as(gradient)
