"""Names of the classes of well-known data sets, in the order of their labels."""

from __future__ import annotations


def imagenet1k() -> tuple[str, ...]:
    """The 1,000 classes of ImageNet-1k, as torchvision's weights state them."""
    from torchvision.models import ResNet18_Weights

    return tuple(ResNet18_Weights.IMAGENET1K_V1.meta["categories"])
