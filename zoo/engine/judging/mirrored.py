"""Test-time augmentation: a classifier asked about an image and about its mirror image."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from zoo.engine.evaluate import main_output
from zoo.errors import UsageError


class Mirrored(nn.Module):
    """Gives what a classifier says of an image and of its mirror image together.

    The outputs are the logarithm of the mean of both probabilities, so that their softmax is that
    mean (AlexNet's way of 2012, which averaged over ten crops and mirror images).

    Args:
        model: Gives ``(N, K)`` scores before the softmax; stays as it is.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model
        self.training = model.training

    def forward(self, images: Tensor) -> Tensor:
        """Ask twice.

        Args:
            images: ``(N, C, H, W)``.

        Returns:
            fp32 ``(N, K)``.

        Raises:
            UsageError: The model does not give one score a class.
        """
        there, back = (main_output(self.model(x)) for x in (images, images.flip(-1)))
        if there.ndim != 2 or there.shape[1] < 2:
            shape = ", ".join(map(str, there.shape[1:]))
            raise UsageError(
                f"--tta averages probabilities of classes, and the model gives (N, {shape})",
                hint="leave --tta out",
            )
        said = torch.stack([there.float().log_softmax(1), back.float().log_softmax(1)])
        return said.logsumexp(0) - math.log(2)
