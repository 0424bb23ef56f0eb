"""The plugin's transform: uint8 (C, H, W) to uint8 (C, H, W) of the input's size."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch.nn.functional import interpolate

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.plugin import InputSpec


class Speckle:
    """Resize to the input's size, then black out a share of the pixels.

    Args:
        input: What the model expects.
        share: Share of the pixels, 0 to 1.
    """

    def __init__(self, input: InputSpec, share: float = 0.05) -> None:  # noqa: A002
        self.size = (input.size[1], input.size[2])
        self.share = share

    def __call__(self, image: Tensor) -> Tensor:
        """Give the transformed image, uint8 (C, H, W)."""
        resized = interpolate(image[None].float(), self.size, mode="bilinear", antialias=True)[0]
        kept = torch.rand(self.size) >= self.share
        return (resized.round() * kept).to(torch.uint8)
