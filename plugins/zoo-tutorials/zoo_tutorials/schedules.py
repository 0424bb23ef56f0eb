"""The learning-rate schedule of the introductions: a cosine as a LambdaLR."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from torch.optim.lr_scheduler import LambdaLR

if TYPE_CHECKING:
    from torch.optim import Optimizer


def lambda_cosine(optimizer: Optimizer, total: int, floor: float = 0.1) -> LambdaLR:
    """Fall from the peak to ``floor`` times the peak along half a cosine.

    Args:
        optimizer: Its rates are the peak.
        total: Number of calls of ``step()`` until the floor.
        floor: Share of the peak at the end.
    """

    def share(step: int) -> float:
        done = min(step / total, 1.0)
        return (1 + math.cos(math.pi * done)) / 2 * (1 - floor) + floor

    return LambdaLR(optimizer, share)
