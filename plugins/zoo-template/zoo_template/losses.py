"""The plugin's loss. Shapes: N images, K classes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torch.nn.functional import cross_entropy, log_softmax

if TYPE_CHECKING:
    from torch import Tensor


class ConfidencePenalty(nn.Module):
    """Cross entropy less ``weight`` times the entropy of what the model believes.

    Args:
        weight: 0 is the plain cross entropy.
    """

    def __init__(self, weight: float = 0.1) -> None:
        super().__init__()
        self.weight = weight

    def forward(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give the mean loss () of outputs (N, K) and class numbers (N,)."""
        logs = log_softmax(outputs, dim=1)
        entropy = -(logs.exp() * logs).sum(dim=1).mean()
        return cross_entropy(outputs, targets) - self.weight * entropy
