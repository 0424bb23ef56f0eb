"""The plugin's model.

Shapes: N images, C channels, H and W pixels, D features, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

if TYPE_CHECKING:
    from torch import Tensor


class Tiny(nn.Module):
    """Two convolutions, an average over the image, one linear layer; takes any image size.

    Args:
        num_classes: Outputs of the head.
        in_channels: Channels of an image.
        width: Features D before the head.
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 3, width: int = 32) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, width // 2, 3, stride=2, padding=1)
        self.body = nn.Conv2d(width // 2, width, 3, stride=2, padding=1)
        self.relu = nn.ReLU()
        self.head = nn.Linear(width, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Classify images (N, C, H, W) to logits (N, K)."""
        maps = self.relu(self.body(self.relu(self.stem(images))))
        logits: Tensor = self.head(maps.mean(dim=(2, 3)))
        return logits
