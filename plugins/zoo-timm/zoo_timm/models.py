"""Builders of timm's architectures: ``zoo_timm.models:NAME`` for every name of timm.

Importing this module imports timm; zoo does that when a model is built, never to list it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import timm

if TYPE_CHECKING:
    from torch import nn


class Builder:
    """Builds one architecture with random weights; zoo loads weights itself.

    Args:
        architecture: Name in timm.
    """

    def __init__(self, architecture: str) -> None:
        self.architecture = architecture

    def __call__(
        self, num_classes: int | None = None, in_channels: int = 3, **options: Any
    ) -> nn.Module:
        """Build the model.

        Args:
            num_classes: Outputs of the head; ``None`` = as timm's first weights have.
            in_channels: Channels of an image.
            **options: Everything else that timm's ``create_model`` takes: ``drop_rate``,
                ``drop_path_rate``, ``img_size``, ``global_pool`` ...
        """
        if num_classes is not None:
            options["num_classes"] = num_classes
        model: nn.Module = timm.create_model(
            self.architecture, pretrained=False, in_chans=in_channels, **options
        )
        return model


def __getattr__(name: str) -> Builder:
    """The builder of an architecture of timm.

    Raises:
        AttributeError: timm has no such architecture.
    """
    if name.startswith("__") or not timm.is_model(name):
        raise AttributeError(f"timm {timm.__version__} has no architecture {name!r}")
    return Builder(name)
