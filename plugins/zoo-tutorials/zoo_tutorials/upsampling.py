"""Three ways to make a map larger, and how large it gets.

Shapes: N images, C channels, H and W pixels, K output channels, S the factor.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from zoo.plugin import UsageError

if TYPE_CHECKING:
    from torch import Tensor


def transposed_size(
    size: int,
    kernel: int,
    *,
    stride: int = 1,
    padding: int = 0,
    output_padding: int = 0,
    dilation: int = 1,
) -> int:
    """Side of a transposed convolution's output, in pixels.

    Args:
        size: Side of the input.
        kernel: Size of the kernel.
        stride: Distance between outputs of neighbouring inputs.
        padding: Rows that are cut from each edge.
        output_padding: Rows that are added at one edge.
        dilation: Distance between the kernel's elements.
    """
    return (size - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1


def enlarge(channels: int, scale: int, how: str) -> nn.Module:
    """One block (N, C, H, W) to (N, C, S*H, S*W).

    Args:
        channels: Channels C of input and output.
        scale: Factor S.
        how: ``transpose`` (learned), ``bilinear`` or ``nearest`` (followed by a convolution), or
            ``shuffle`` (S*S times as many channels, rearranged in space).

    Raises:
        UsageError: ``how`` is something else.
    """
    if how == "transpose":
        return nn.ConvTranspose2d(channels, channels, kernel_size=scale, stride=scale)
    if how in ("bilinear", "nearest"):
        up = nn.Upsample(
            scale_factor=scale, mode=how, align_corners=False if how == "bilinear" else None
        )
        return nn.Sequential(up, nn.Conv2d(channels, channels, 3, padding=1))
    if how == "shuffle":
        wide = nn.Conv2d(channels, channels * scale * scale, 3, padding=1)
        return nn.Sequential(wide, nn.PixelShuffle(scale))
    ways = "transpose, bilinear, nearest, shuffle"
    raise UsageError(f"how={how!r} is not a way of enlarging", hint=ways)


class Upsampler(nn.Module):
    """A convolution, one enlarging block, a convolution.

    Args:
        num_classes: Output channels K.
        in_channels: Input channels C.
        width: Channels in between.
        scale: Factor S.
        how: Way of enlarging, see :func:`enlarge`.
    """

    def __init__(
        self,
        num_classes: int = 3,
        in_channels: int = 3,
        width: int = 16,
        scale: int = 2,
        how: str = "shuffle",
    ) -> None:
        super().__init__()
        self.stem = nn.Conv2d(in_channels, width, 3, padding=1)
        self.enlarge = enlarge(width, scale, how)
        self.relu = nn.ReLU()
        self.head = nn.Conv2d(width, num_classes, 3, padding=1)

    def forward(self, images: Tensor) -> Tensor:
        """Enlarge images (N, C, H, W) to (N, K, S*H, S*W)."""
        enlarged: Tensor = self.head(self.relu(self.enlarge(self.relu(self.stem(images)))))
        return enlarged
