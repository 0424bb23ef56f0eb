"""Linear regression and losses written by hand.

Shapes: N samples, F features, D outputs, M targets of one sample.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class Linear(nn.Module):
    """``y = x A^T + b`` on whatever it is given, flattened.

    Args:
        num_classes: Outputs D.
        in_channels: Channels of an image.
        size: Height and width of an image in pixels.
    """

    def __init__(self, num_classes: int = 1, in_channels: int = 1, size: int = 1) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear = nn.Linear(in_channels * size * size, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Map (N, C, H, W), or (N, F) with F = C * H * W, to (N, D)."""
        outputs: Tensor = self.linear(self.flatten(images))
        return outputs


def my_mse(outputs: Tensor, targets: Tensor) -> Tensor:
    """Mean of the squared differences of outputs (N, D) and targets (N, D): a scalar ()."""
    difference = outputs - targets
    return (difference * difference).mean()


def regress(outputs: Tensor, targets: Tensor) -> Tensor:
    """Sum of the squared differences between each output (N, D) and its M targets (N, M, D).

    Returns:
        A scalar ().
    """
    difference = outputs.unsqueeze(1) - targets
    return (difference * difference).sum()
