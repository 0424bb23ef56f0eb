"""Prefix outputs on their way: as rows that are kept, and as batches that a model takes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from zoo.engine.place import Place


class PrefixFeed:
    """Takes the place of :class:`zoo.engine.feed.Feed`: batches hold prefix outputs already.

    Args:
        place: Where the model computes.
        dtype: What the prefix gives under the place's precision.
    """

    def __init__(self, place: Place, dtype: torch.dtype) -> None:
        self.place, self.dtype = place, dtype

    def __call__(self, batch: Any, *, train: bool) -> tuple[Tensor, Tensor]:
        """Move one batch to the device: prefix outputs (N, ...) and targets (N, ...)."""
        del train
        device = self.place.device
        given = batch.images.to(device, self.dtype, non_blocking=True)
        return given, batch.labels.to(device, non_blocking=True)


def pack(values: Tensor, *, nhwc: bool) -> Tensor:
    """Rows as they are kept: (N, C, H, W) as (N, H, W, C) where the model computes in that layout."""
    return values.permute(0, 2, 3, 1) if nhwc else values


def unpack(rows: Tensor, *, nhwc: bool) -> Tensor:
    """Undo :func:`pack`: (N, H, W, C) as a channels_last (N, C, H, W), nothing is moved."""
    return rows.permute(0, 3, 1, 2) if nhwc else rows
