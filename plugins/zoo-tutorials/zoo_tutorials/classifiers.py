"""Small classifiers that train in seconds: a perceptron, LeNet and a cat-or-dog net.

Shapes: N images, C channels, H and W pixels, K classes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn

from zoo.plugin import UsageError

if TYPE_CHECKING:
    from torch import Tensor


class Mlp(nn.Module):
    """The quickstart's network: two hidden layers of 512 on a flattened 28x28 image.

    Args:
        num_classes: Outputs of the head.
        in_channels: Channels of an image.
        size: Height and width of an image in pixels.
        width: Units of a hidden layer.
    """

    def __init__(
        self, num_classes: int = 10, in_channels: int = 1, size: int = 28, width: int = 512
    ) -> None:
        super().__init__()
        self.flatten = nn.Flatten()
        self.hidden1 = nn.Linear(in_channels * size * size, width)
        self.hidden2 = nn.Linear(width, width)
        self.head = nn.Linear(width, num_classes)
        self.relu = nn.ReLU()

    def forward(self, images: Tensor) -> Tensor:
        """Classify images (N, C, H, W) to logits (N, K)."""
        hidden = self.relu(self.hidden1(self.flatten(images)))
        hidden = self.relu(self.hidden2(hidden))
        logits: Tensor = self.head(hidden)
        return logits


class ConvNet(nn.Module):
    """Two convolutions with pooling, then three linear layers.

    Args:
        num_classes: Outputs of the head.
        in_channels: Channels of an image.
        size: Height and width of an image in pixels.
        channels: Outputs of the two convolutions.
        kernel: Size of their kernels.
        padding: Padding of the convolutions.
        hidden: Units of the two hidden linear layers.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int,
        size: int,
        channels: tuple[int, int],
        kernel: int,
        padding: int,
        hidden: tuple[int, int],
    ) -> None:
        super().__init__()
        side = _side_after_two(size, kernel, padding)
        self.conv1 = nn.Conv2d(in_channels, channels[0], kernel, padding=padding)
        self.conv2 = nn.Conv2d(channels[0], channels[1], kernel, padding=padding)
        self.pool = nn.MaxPool2d(2)
        self.relu = nn.ReLU()
        self.flatten = nn.Flatten()
        self.fc1 = nn.Linear(channels[1] * side * side, hidden[0])
        self.fc2 = nn.Linear(hidden[0], hidden[1])
        self.fc3 = nn.Linear(hidden[1], num_classes)

    def forward(self, images: Tensor) -> Tensor:
        """Classify images (N, C, H, W) to logits (N, K)."""
        maps = self.pool(self.relu(self.conv1(images)))
        maps = self.pool(self.relu(self.conv2(maps)))
        hidden = self.relu(self.fc1(self.flatten(maps)))
        hidden = self.relu(self.fc2(hidden))
        logits: Tensor = self.fc3(hidden)
        return logits


def _side_after_two(size: int, kernel: int, padding: int) -> int:
    """Side of the map after twice convolution and 2x2 pooling, in pixels.

    Raises:
        UsageError: The image is too small for that.
    """
    side = size
    for _ in range(2):
        side = (side + 2 * padding - kernel + 1) // 2
    if side < 1:
        raise UsageError(
            f"an image of {size} pixels is too small for two {kernel}x{kernel} convolutions",
            hint="--set model.options.size=32",
        )
    return side


def lenet(num_classes: int = 10, in_channels: int = 1, size: int = 32) -> ConvNet:
    """LeNet-5 as the PyTorch introduction writes it: 6 and 16 maps, 120 and 84 units."""
    return ConvNet(num_classes, in_channels, size, (6, 16), kernel=5, padding=0, hidden=(120, 84))


def catdog(num_classes: int = 2, in_channels: int = 3, size: int = 32) -> ConvNet:
    """A small net for two kinds of photographs: 16 and 32 maps, 128 and 64 units."""
    return ConvNet(num_classes, in_channels, size, (16, 32), kernel=3, padding=1, hidden=(128, 64))
