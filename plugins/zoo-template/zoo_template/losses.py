"""The plugin's loss. Shapes: N images, K classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn.functional import cross_entropy

if TYPE_CHECKING:
    from torch import Tensor


class Focal(nn.Module):
    """Cross entropy that cares less for what is already right: ``(1 - p)^gamma * -log p``.

    Args:
        gamma: 0 is the plain cross entropy.
    """

    def __init__(self, gamma: float = 2.0) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give the mean loss () of outputs (N, K) and class numbers (N,)."""
        losses = cross_entropy(outputs, targets, reduction="none")
        return ((1 - (-losses).exp()) ** self.gamma * losses).mean()
