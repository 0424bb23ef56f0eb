"""Where a random part of an image lies: for one image, and for many at once with the same numbers."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import torch
from torch import Tensor

from zoo.plugin import UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

NUMBERS: Final = 23
"""Numbers that a part takes at most: ten sizes and shapes, a place, whether to mirror it."""

STRIDES: Final = (0.61678, 0.14948) * 10 + (0.18344, 0.71919, 0.5)
"""How far each moves from one epoch to the next (:func:`zoo.data.views.moved_on`).

Chosen by search for the least variance of the mean over an image's first two to forty parts, of
functions that are smooth in size, place and shape, together and one by one; what mirrors takes
turns.
"""


def strides_if(even: bool, strides: tuple[float, ...]) -> tuple[float, ...]:
    """A transform's strides, or none where its numbers are to be drawn anew.

    Args:
        even: The option of that name.
        strides: How far each of its numbers moves from one epoch to the next.

    Raises:
        UsageError: The option is something else than true or false.
    """
    if not isinstance(even, bool):
        raise UsageError(f"even must be true or false, not {even!r}")
    return strides if even else ()


def random_part(
    high: int,
    wide: int,
    scale: tuple[float, float],
    ratio: tuple[float, float],
    numbers: Sequence[float],
) -> tuple[int, int, int, int, float]:
    """Choose a part; the largest centred one after ten misses.

    Args:
        high: Height of the image in pixels.
        wide: Its width.
        scale: As in :class:`zoo.builtin.transforms.Standard`.
        ratio: As in :class:`zoo.builtin.transforms.Standard`.
        numbers: In 0..1, :data:`NUMBERS` of them.

    Returns:
        Top, left, height and width; the first number that this did not need.
    """
    low, top_ratio = math.log(ratio[0]), math.log(ratio[1])
    for area_draw, ratio_draw in zip(numbers[0:20:2], numbers[1:20:2], strict=True):
        area = high * wide * (scale[0] + (scale[1] - scale[0]) * area_draw)
        aspect = math.exp(low + (top_ratio - low) * ratio_draw)
        w, h = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < w <= wide and 0 < h <= high:
            down, right, unused = numbers[20:23]
            return int(down * (high - h + 1)), int(right * (wide - w + 1)), h, w, unused
    aspect = min(max(wide / high, ratio[0]), ratio[1])
    w, h = min(wide, max(1, round(high * aspect))), min(high, max(1, round(wide / aspect)))
    return (high - h) // 2, (wide - w) // 2, h, w, numbers[20]


def random_parts(
    sizes: Any, numbers: Any, scale: tuple[float, float], ratio: tuple[float, float], flip: float
) -> tuple[Tensor, Tensor]:
    """What :func:`random_part` chooses, and whether to mirror, for many images at once.

    Args:
        sizes: Height and width of each, integers ``(N, 2)``.
        numbers: What each image's generator gives, ``(N, 23)``.
        scale: As in :class:`zoo.builtin.transforms.Standard`.
        ratio: As in :class:`zoo.builtin.transforms.Standard`.
        flip: As in :class:`zoo.builtin.transforms.Standard`.

    Returns:
        Top, left, height and width, int64 ``(N, 4)``; whether to mirror, int64 ``(N,)``.
    """
    drawn = numbers.astype(np.float64)
    high, wide = sizes[:, 0].astype(np.float64), sizes[:, 1].astype(np.float64)
    low, top_ratio = math.log(ratio[0]), math.log(ratio[1])
    area = (high * wide)[:, None] * (scale[0] + (scale[1] - scale[0]) * drawn[:, 0:20:2])
    aspect = np.exp(low + (top_ratio - low) * drawn[:, 1:20:2])
    w, h = np.rint(np.sqrt(area * aspect)), np.rint(np.sqrt(area / aspect))
    fits = (w > 0) & (w <= wide[:, None]) & (h > 0) & (h <= high[:, None])
    found, each = fits.any(1), np.arange(len(drawn))
    first = fits.argmax(1)
    w, h = w[each, first], h[each, first]
    top = np.floor(drawn[:, 20] * (high - h + 1))
    left = np.floor(drawn[:, 21] * (wide - w + 1))
    whole = np.clip(wide / high, ratio[0], ratio[1])  # the largest centred part after ten misses
    whole_w = np.minimum(wide, np.maximum(1, np.rint(high * whole)))
    whole_h = np.minimum(high, np.maximum(1, np.rint(wide / whole)))
    w, h = np.where(found, w, whole_w), np.where(found, h, whole_h)
    top, left = np.where(found, top, (high - h) // 2), np.where(found, left, (wide - w) // 2)
    turned = np.where(found, drawn[:, 22], drawn[:, 20]) < flip
    parts = np.stack([top, left, h, w], 1).astype(np.int64)
    return torch.from_numpy(parts), torch.from_numpy(turned.astype(np.int64))
