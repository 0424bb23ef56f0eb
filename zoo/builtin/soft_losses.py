"""Losses that torch does not have, all of logits ``(N, K)`` against labels or soft targets.

Each is a sum over classes of a target times a function of the log-probability, so labels ``(N,)``
and soft targets ``(N, K)`` (mixup, smoothing) are one case. They compute in at least float32.
N batch, K classes.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo.builtin.losses import match, scalar_reduction, smoothed, weights
from zoo.plugin import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence


class _SoftLoss(nn.Module, ABC):
    weight: Tensor | None

    def __init__(
        self, weight: Sequence[float] = (), label_smoothing: float = 0.0, reduction: str = "mean"
    ) -> None:
        super().__init__()
        self.register_buffer("weight", weights(weight), persistent=False)
        self.label_smoothing = label_smoothing
        self.reduction = scalar_reduction(reduction)

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Map logits ``(N, K)`` and labels ``(N,)`` or soft targets ``(N, K)`` to a loss ``()``."""
        logits = outputs.float() if outputs.dtype in (torch.float16, torch.bfloat16) else outputs
        rows = smoothed(match(logits, targets), self.label_smoothing)
        losses = self.per_image(functional.log_softmax(logits, dim=1), rows)
        return losses.mean() if self.reduction == "mean" else losses.sum()

    def weighted(self, rows: Tensor) -> Tensor:
        """Targets ``(N, K)`` times the class weights."""
        return rows if self.weight is None else rows * self.weight.to(rows.dtype)

    @abstractmethod
    def per_image(self, logs: Tensor, rows: Tensor) -> Tensor:
        """Map log-probabilities and targets ``(N, K)`` to losses ``(N,)``."""


@final
class Focal(_SoftLoss):
    """Cross entropy that looks away from what is already right: ``-(1 - p) ** gamma * log p``.

    Args:
        gamma: 0 is the plain cross entropy.
        weight: One weight a class, or nothing; the mean is over images, not over weights.
        label_smoothing: Share of each target that is spread over all classes.
        reduction: ``mean`` or ``sum``.

    Raises:
        UsageError: ``gamma`` is negative.
    """

    def __init__(
        self,
        *,
        gamma: float = 2.0,
        weight: Sequence[float] = (),
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, label_smoothing, reduction)
        if gamma < 0:
            raise UsageError(f"gamma of the focal loss is at least 0, not {gamma}")
        self.gamma = gamma

    def per_image(self, logs: Tensor, rows: Tensor) -> Tensor:
        """Map log-probabilities and targets ``(N, K)`` to losses ``(N,)``."""
        rest = (-torch.expm1(logs)).clamp_min(torch.finfo(logs.dtype).tiny)
        return -(self.weighted(rows) * rest**self.gamma * logs).sum(dim=1)


@final
class Poly1(_SoftLoss):
    """Cross entropy with its first polynomial term raised: ``-log p + epsilon * (1 - p)``.

    Args:
        epsilon: 0 is the plain cross entropy.
        weight: One weight a class, or nothing; the mean is over images, not over weights.
        label_smoothing: Share of each target that is spread over all classes.
        reduction: ``mean`` or ``sum``.
    """

    def __init__(
        self,
        *,
        epsilon: float = 1.0,
        weight: Sequence[float] = (),
        label_smoothing: float = 0.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(weight, label_smoothing, reduction)
        self.epsilon = epsilon

    def per_image(self, logs: Tensor, rows: Tensor) -> Tensor:
        """Map log-probabilities and targets ``(N, K)`` to losses ``(N,)``."""
        return -(self.weighted(rows) * (logs + self.epsilon * torch.expm1(logs))).sum(dim=1)


@final
class GeneralizedCrossEntropy(_SoftLoss):
    """``(1 - p ** q) / q``, bounded so that wrong labels pull less.

    Args:
        q: In (0, 1]; towards 0 it is the cross entropy, at 1 the probability that was missed.
        weight: One weight a class, or nothing; the mean is over images, not over weights.
        reduction: ``mean`` or ``sum``.

    Raises:
        UsageError: ``q`` is outside of (0, 1].
    """

    def __init__(
        self, *, q: float = 0.7, weight: Sequence[float] = (), reduction: str = "mean"
    ) -> None:
        super().__init__(weight, reduction=reduction)
        if not 0.0 < q <= 1.0:
            raise UsageError(f"q of the generalized cross entropy lies in (0, 1], not {q}")
        self.q = q

    def per_image(self, logs: Tensor, rows: Tensor) -> Tensor:
        """Map log-probabilities and targets ``(N, K)`` to losses ``(N,)``."""
        return -(self.weighted(rows) * torch.expm1(self.q * logs)).sum(dim=1) / self.q


@final
class SymmetricCrossEntropy(_SoftLoss):
    """Cross entropy, and the one with labels and predictions exchanged, against wrong labels.

    Args:
        alpha: Weight of the cross entropy.
        beta: Weight of the reverse one.
        floor: Stands for the logarithm of zero in the reverse one.
        reduction: ``mean`` or ``sum``.
    """

    def __init__(
        self,
        *,
        alpha: float = 0.1,
        beta: float = 1.0,
        floor: float = -4.0,
        reduction: str = "mean",
    ) -> None:
        super().__init__(reduction=reduction)
        self.alpha, self.beta, self.floor = alpha, beta, floor

    def per_image(self, logs: Tensor, rows: Tensor) -> Tensor:
        """Map log-probabilities and targets ``(N, K)`` to losses ``(N,)``."""
        ahead = -(rows * logs).sum(dim=1)
        back = -(logs.exp() * rows.log().clamp_min(self.floor)).sum(dim=1)
        return self.alpha * ahead + self.beta * back
