"""Random windows of kept maps: a view that comes back is not shown whole a second time.

What follows a convolutional prefix slides over its map, so a part of the map is to it what a crop
of the picture is to the whole model: another place of the same things, at the price of a copy.
Every batch of an epoch has one size of window, each image a place of its own; both are functions
of (seed, epoch, batch) and (seed, epoch, image), so that a resumed run draws the same ones.
The epochs that fill the cache show whole maps: they are the run without a cache.

Cropping maps instead of pixels is cheaper by the whole prefix, and not the same: a window saw
beyond its edges, and scale is not touched. What it is worth was measured
(docs/explanation/views.md).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from zoo.data.views import number, uniform
from zoo.engine.freezing.trace import mode, tensors_in
from zoo.engine.place import autocast

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.engine.place import Place
    from zoo.engine.prefix.cut import Cut

SHARE = 0.75
"""Least share of a map's side that a window has when nobody says so."""
HEAD_SHARE = 0.5
"""The same of a head's runs that began when heads were shown parts unasked."""
HEAD_SIDE = 4
"""Side of the smallest map in front of a head of which parts are shown, where they are asked for."""
_STREAM = 0x77696E646F77


@dataclass(frozen=True, slots=True)
class Windows:
    """Draws windows of maps of one size.

    Attributes:
        side: Height and width of the maps.
        least: Height and width of the smallest window.
        seed: Seed of the run.
    """

    side: tuple[int, int]
    least: tuple[int, int]
    seed: int

    def line(self) -> str:
        """What is shown, for the plan."""
        least, side = ("x".join(map(str, size)) for size in (self.least, self.side))
        return f", then random parts of {least} to {side}"

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of every window that is drawn, the smallest first."""
        more = [full - least for full, least in zip(self.side, self.least, strict=True)]
        steps = max(more)
        return [
            (self.least[0] + more[0] * step // steps, self.least[1] + more[1] * step // steps)
            for step in range(steps + 1)
        ]

    def size(self, epoch: int, batch: int) -> tuple[int, int]:
        """Height and width of a batch's windows: each size is as likely."""
        sizes = self.sizes
        return sizes[number(self.seed, epoch, batch, _STREAM) % len(sizes)]

    def cut(self, rows: Tensor, images: Tensor, *, epoch: int, batch: int, nhwc: bool) -> Tensor:
        """Cut a window out of each map.

        Args:
            rows: Kept maps (N, C, H, W), or (N, H, W, C).
            images: Which images they are of, int64 (N,).
            epoch: Which epoch.
            batch: Which batch of it.
            nhwc: Which of the two.

        Returns:
            Windows (N, C, h, w), or (N, h, w, C).
        """
        high, wide = self.size(epoch, batch)
        if (high, wide) == self.side or not len(rows):
            return rows
        draws = uniform(images, 2, seed=self.seed ^ _STREAM, epoch=epoch)
        free = torch.tensor([self.side[0] - high + 1, self.side[1] - wide + 1])
        top, left = (draws * free).long().to(rows.device).unbind(1)
        y = (top[:, None] + torch.arange(high, device=rows.device))[:, :, None]
        x = (left[:, None] + torch.arange(wide, device=rows.device))[:, None, :]
        each = torch.arange(len(rows), device=rows.device)[:, None, None]
        if nhwc:
            return rows[each, y, x]
        return rows[each, :, y, x].permute(0, 3, 1, 2).contiguous()


def windows(made: Cut, out: Tensor, place: Place, *, seed: int, share: float) -> Windows | None:
    """Windows of what a prefix gives, if what follows takes maps of any size.

    Whether it does is tried with each size: positions that are learned, layers behind a
    flattening and windowed attention refuse them. Modes and buffers stay as they are.

    Args:
        made: The cut model.
        out: What the prefix gave for a few images (N, ...).
        place: Where and how precisely.
        seed: Seed of the run.
        share: Least share of the map's side; 1 = whole maps.

    Returns:
        ``None`` where maps come back whole: ``share`` is 1, the outputs are no maps, or only
        maps of their own size are taken.
    """
    if share >= 1 or out.ndim != 4:
        return None
    side = (int(out.shape[2]), int(out.shape[3]))
    least = (math.ceil(side[0] * share), math.ceil(side[1] * share))
    if least == side:
        return None
    drawn = Windows(side, least, seed)
    parts = [out[:, :, :high, :wide].contiguous() for high, wide in drawn.sizes]
    return drawn if accepts(made, out, parts, place) else None


def accepts(made: Cut, out: Tensor, others: list[Tensor], place: Place) -> bool:
    """Whether what follows a cut takes other maps as it takes those of the model's own input.

    Args:
        made: The cut model.
        out: What the prefix gave for a few images (N, ...).
        others: Other maps (N, ...).
        place: Where and how precisely.
    """
    tail = made.tail()
    evaluating = mode(made.model, training=False), mode(tail, training=False)
    with evaluating[0], evaluating[1], torch.no_grad(), autocast(place):
        shapes = [value.shape for value in tensors_in(tail(out))]
        for other in others:
            try:
                found = list(tensors_in(tail(other)))
            except Exception:  # any model, any failure
                return False
            if [value.shape for value in found] != shapes:
                return False
    return True
