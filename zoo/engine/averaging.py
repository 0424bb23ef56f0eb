"""How the losses of batches make the loss of all of them.

A loss is a mean over a batch, and most divide by its images. torch's cross entropy with class
weights divides by the weights of the batch's labels, and leaves out a label that is ignored; a loss
that is a sum divides by nothing. Means of unlike batches cannot be averaged by images then: here
each batch gives what adds up, and what the sum is divided by at the end. N batch, K classes.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING, Any, final

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.core.protocols import Loss

_DIVIDED = (nn.CrossEntropyLoss, nn.NLLLoss)
"""Losses whose mean is over the weights of labels; what is derived from them may do otherwise."""


@final
class Averaging:
    """A loss, and how it adds up.

    Args:
        loss: ``(outputs, targets) -> ()``.

    Attributes:
        loss: The loss; its sum over a batch where means do not add up by images.
        summed: Whether :attr:`loss` is a sum over the batch.
        weighed: Whether the sum is to be divided by the labels' weights, not by images.
    """

    def __init__(self, loss: Loss) -> None:
        own: Any = loss
        self.weighed = (
            type(loss) in _DIVIDED
            and own.reduction == "mean"
            and (own.weight is not None or own.ignore_index >= 0)
        )
        if self.weighed:
            own = copy(own)
            own.reduction = "sum"
        self.loss: Loss = own
        self.summed = getattr(own, "reduction", "") == "sum"

    def divisor(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """What the loss of a batch would divide by.

        Args:
            outputs: ``(N, K)``.
            targets: Labels ``(N,)``, or soft targets ``(N, K)``, which count as images.

        Returns:
            ``()`` fp32 on the device: the weights of the labels, or the number of images.
        """
        loss: Any = self.loss
        if not self.weighed or targets.shape == outputs.shape:
            return outputs.new_tensor(float(len(targets)))
        kept: Tensor = targets != loss.ignore_index
        each: Tensor = kept if loss.weight is None else loss.weight[targets.clamp_min(0)] * kept
        return each.sum().float()
