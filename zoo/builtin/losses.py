"""torch's losses by name, made to take what a zoo run gives.

A run gives logits ``(N, K)`` and class labels ``(N,)``, soft targets ``(N, K)`` after mixup and the
like, or values ``(N,)`` or ``(N, D)`` for regression. torch's element-wise losses want targets of
the outputs' shape: here labels become one-hot rows and values meet outputs ``(N, 1)``. Every builder
gives an ``nn.Module`` (class weights are buffers, so it moves with ``.to(device)``) that maps
``(outputs, targets)`` to a scalar ``()``. N batch, K classes, D values.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Literal, final

import torch
from torch import Tensor, nn
from torch.nn import functional

from zoo.plugin import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

Reduction = Literal["mean", "sum"]


def match(outputs: Tensor, targets: Tensor) -> Tensor:
    """Bring targets into the outputs' shape and type.

    Args:
        outputs: ``(N, K)``.
        targets: Labels ``(N,)`` become one-hot rows; values ``(N,)`` meet outputs ``(N, 1)``; rows
            ``(N, K)`` stay.

    Returns:
        Targets ``(N, K)``.

    Raises:
        UsageError: The shapes cannot be brought together.
    """
    if targets.shape == outputs.shape:
        return targets.to(outputs.dtype)
    if outputs.ndim == 2 and targets.shape == outputs.shape[:1]:
        if outputs.shape[1] == 1:
            return targets.to(outputs.dtype).unsqueeze(1)
        if not targets.is_floating_point():
            return functional.one_hot(targets.long(), outputs.shape[1]).to(outputs.dtype)
    raise UsageError(
        f"the loss cannot compare outputs {tuple(outputs.shape)} with {targets.dtype} targets "
        f"{tuple(targets.shape)}",
        hint="class labels are int64 (N,), soft targets and values have the outputs' shape",
    )


@final
class Matched(nn.Module):
    """A loss of torch that compares elements, fed with targets of the outputs' shape.

    Args:
        loss: Called as ``loss(outputs, targets)`` with both ``(N, K)``.
        label_smoothing: Share of each target that is spread over all K.
        scale: Multiplies targets after smoothing, then ``shift`` is added.
        shift: See ``scale``.
    """

    def __init__(
        self,
        loss: nn.Module,
        *,
        label_smoothing: float = 0.0,
        scale: float = 1.0,
        shift: float = 0.0,
    ) -> None:
        super().__init__()
        self.loss = loss
        self.reduction = str(loss.reduction)
        self.label_smoothing = label_smoothing
        self.scale = scale
        self.shift = shift

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Map outputs ``(N, K)`` and targets ``(N,)`` or ``(N, K)`` to the loss ``()``."""
        rows = smoothed(match(outputs, targets), self.label_smoothing)
        loss: Tensor = self.loss(outputs, rows * self.scale + self.shift)
        return loss


def smoothed(rows: Tensor, smoothing: float) -> Tensor:
    """Spread a share of each target ``(N, K)`` over all K."""
    return rows * (1.0 - smoothing) + smoothing / rows.shape[1] if smoothing else rows


def weights(values: Sequence[float]) -> Tensor | None:
    """Give one weight a class ``(K,)``, or ``None`` if there are none.

    Raises:
        UsageError: One is negative or not finite, or all are 0.
    """
    given = [float(value) for value in values]
    if given and not (all(0 <= value < math.inf for value in given) and any(given)):
        raise UsageError(
            f"weights of classes are numbers from 0 on, not all 0, unlike {list(values)}",
            hint="--set loss.options.weight=[1.0,2.5,1.0], one a class",
        )
    return torch.tensor(given) if given else None


def scalar_reduction(reduction: str) -> Reduction:
    """Give the reduction back if it makes one number.

    Raises:
        UsageError: It is neither ``mean`` nor ``sum``.
    """
    if reduction == "mean":
        return "mean"
    if reduction == "sum":
        return "sum"
    raise UsageError(
        f"a loss is one number: reduction is mean or sum, not {reduction!r}",
        hint="--set loss.options.reduction=mean",
    )


def cross_entropy(
    *,
    weight: Sequence[float] = (),
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> nn.Module:
    """Softmax cross entropy of logits ``(N, K)`` and labels ``(N,)`` or soft targets ``(N, K)``.

    Args:
        weight: One weight a class, or nothing.
        ignore_index: Label that does not count.
        reduction: ``mean`` or ``sum``.
        label_smoothing: Share of each target that is spread over all classes.
    """
    return nn.CrossEntropyLoss(
        weight=weights(weight),
        ignore_index=ignore_index,
        reduction=scalar_reduction(reduction),
        label_smoothing=label_smoothing,
    )


def nll(
    *, weight: Sequence[float] = (), ignore_index: int = -100, reduction: str = "mean"
) -> nn.Module:
    """Negative log likelihood, for models that end in a log-softmax ``(N, K)``; labels ``(N,)``."""
    return nn.NLLLoss(
        weight=weights(weight), ignore_index=ignore_index, reduction=scalar_reduction(reduction)
    )


def multi_margin(
    *, p: int = 1, margin: float = 1.0, weight: Sequence[float] = (), reduction: str = "mean"
) -> nn.Module:
    """Hinge loss of scores ``(N, K)`` against labels ``(N,)``, ``p`` = 1 or 2."""
    return nn.MultiMarginLoss(
        p=p, margin=margin, weight=weights(weight), reduction=scalar_reduction(reduction)
    )


def bce_with_logits(
    *,
    weight: Sequence[float] = (),
    reduction: str = "mean",
    pos_weight: Sequence[float] = (),
    label_smoothing: float = 0.0,
) -> nn.Module:
    """One yes-or-no question a class: sigmoid and binary cross entropy of logits ``(N, K)``.

    Args:
        weight: One weight a class, or nothing.
        reduction: ``mean`` (over images and classes) or ``sum``.
        pos_weight: One weight a class for its positive answers, or nothing.
        label_smoothing: Share of each target that is spread over all classes.
    """
    loss = nn.BCEWithLogitsLoss(
        weight=weights(weight),
        reduction=scalar_reduction(reduction),
        pos_weight=weights(pos_weight),
    )
    return Matched(loss, label_smoothing=label_smoothing)


@final
class _OfProbabilities(nn.Module):
    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = Matched(loss)
        self.reduction = self.loss.reduction

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Map probabilities ``(N, K)`` and targets ``(N,)`` or ``(N, K)`` to the loss ``()``."""
        least, most = (float(value) for value in outputs.detach().aminmax())
        if math.isnan(least):
            return outputs.sum()  # nan, which a run has rules for; torch refuses to compute it
        if least < 0 or most > 1:  # on a GPU, torch's own check ends the process
            raise UsageError(
                f"bce takes probabilities, and the model gives {least:.3g} to {most:.3g}",
                hint="--loss bce-with-logits, or a model that ends in a sigmoid",
            )
        loss: Tensor = self.loss(outputs, targets)
        return loss


def bce(*, weight: Sequence[float] = (), reduction: str = "mean") -> nn.Module:
    """Binary cross entropy, for models that end in a sigmoid ``(N, K)``."""
    return _OfProbabilities(
        nn.BCELoss(weight=weights(weight), reduction=scalar_reduction(reduction))
    )


def multi_label_soft_margin(*, weight: Sequence[float] = (), reduction: str = "mean") -> nn.Module:
    """Binary cross entropy of logits ``(N, K)``, averaged over the classes of an image first."""
    return Matched(
        nn.MultiLabelSoftMarginLoss(weight=weights(weight), reduction=scalar_reduction(reduction))
    )


def soft_margin(*, reduction: str = "mean") -> nn.Module:
    """Logistic loss of scores ``(N, K)``: labels become +1 for the class, -1 for the others."""
    return Matched(nn.SoftMarginLoss(reduction=scalar_reduction(reduction)), scale=2.0, shift=-1.0)


@final
class _Divergence(nn.Module):
    def __init__(self, reduction: str) -> None:
        super().__init__()
        self.loss = nn.KLDivLoss(reduction=reduction)
        self.reduction = reduction

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Map logits ``(N, K)`` and targets ``(N,)`` or ``(N, K)`` to the divergence ``()``."""
        rows = match(outputs, targets)
        loss: Tensor = self.loss(functional.log_softmax(outputs, dim=1), rows)
        return loss


def kl_div(*, reduction: str = "batchmean") -> nn.Module:
    """Kullback-Leibler divergence of the softmax of logits ``(N, K)`` from soft targets.

    ``batchmean`` is the divergence itself, averaged over images (torch's own default, ``mean``,
    also divides by K and says of itself that it is not the divergence).

    Raises:
        UsageError: ``reduction`` is neither ``batchmean`` nor ``sum``.
    """
    if reduction not in ("batchmean", "sum"):
        raise UsageError(
            f"the divergence is one number: reduction is batchmean or sum, not {reduction!r}",
            hint="--set loss.options.reduction=batchmean",
        )
    return _Divergence(reduction)


def mse(*, reduction: str = "mean") -> nn.Module:
    """Squared error of outputs ``(N, D)`` against values, or one-hot labels."""
    return Matched(nn.MSELoss(reduction=scalar_reduction(reduction)))


def l1(*, reduction: str = "mean") -> nn.Module:
    """Absolute error of outputs ``(N, D)`` against values, or one-hot labels."""
    return Matched(nn.L1Loss(reduction=scalar_reduction(reduction)))


def smooth_l1(*, reduction: str = "mean", beta: float = 1.0) -> nn.Module:
    """Absolute error that is squared below ``beta``; outputs ``(N, D)``."""
    return Matched(nn.SmoothL1Loss(reduction=scalar_reduction(reduction), beta=beta))


def huber(*, reduction: str = "mean", delta: float = 1.0) -> nn.Module:
    """Squared error that is linear above ``delta``; outputs ``(N, D)``."""
    return Matched(nn.HuberLoss(reduction=scalar_reduction(reduction), delta=delta))


def poisson_nll(
    *, log_input: bool = True, full: bool = False, eps: float = 1e-8, reduction: str = "mean"
) -> nn.Module:
    """Poisson likelihood of counts; outputs ``(N, D)`` are the logarithm of the rate."""
    return Matched(
        nn.PoissonNLLLoss(
            log_input=log_input, full=full, eps=eps, reduction=scalar_reduction(reduction)
        )
    )
