"""What a model saw, beside the same with a map of heat over it, as one PNG."""

from __future__ import annotations

import io
import math
from typing import TYPE_CHECKING, Final

import torch
from PIL import Image, ImageDraw
from torch.nn import functional

from zoo.data.decode import with_channels
from zoo.engine.lettering import fitted, font

if TYPE_CHECKING:
    from torch import Tensor

_LEAST: Final = 280
"""Pixels of the longer side of what was seen, at least: smaller images are shown in squares."""
_ANCHORS: Final = (
    (31, 12, 72), (85, 15, 109), (136, 34, 106), (186, 54, 85), (227, 89, 51), (249, 140, 10),
    (249, 201, 50),
)  # fmt: skip
"""Inferno without its ends, in equal steps: as even to the eye as heat, also of the colour-blind."""
_DIM, _COVER = 0.8, 0.8
"""How bright the image is where it is cold, and how much of it the hottest colour covers."""
_EDGE: Final = 10
_LINE: Final = 22
_SIZE: Final = 14
_INK: Final = (27, 31, 36)
_MUTED: Final = (89, 99, 110)


def draw(image: Tensor, heat: Tensor, *, left: str, right: str) -> bytes:
    """Draw an image and its heat.

    Args:
        image: What the model saw, ``(C, H, W)`` with 1 to 4 channels, uint8 or 0..1.
        heat: ``(h, w)`` from 0 on; the largest value is the hottest.
        left: Said above the image.
        right: Said above the heat.

    Returns:
        A PNG file.
    """
    if image.is_floating_point():
        image = (image.clamp(0, 1) * 255).round().to(torch.uint8)
    image = with_channels(image, 3)
    times = math.ceil(_LEAST / max(image.shape[-2:]))
    image = image.repeat_interleave(times, -1).repeat_interleave(times, -2)
    high, wide = image.shape[-2:]
    page = Image.new("RGB", (2 * wide + 3 * _EDGE, high + _LINE + 2 * _EDGE), "white")
    pen = ImageDraw.Draw(page)
    panels = ((left, _MUTED, image), (right, _INK, overlay(image, heat)))
    for at, (text, colour, panel) in enumerate(panels):
        x = _EDGE + at * (wide + _EDGE)
        pen.text((x, _EDGE - 2), fitted(text, _SIZE, wide), fill=colour, font=font(_SIZE))
        pixels = panel.permute(1, 2, 0).contiguous().numpy().tobytes()
        page.paste(Image.frombytes("RGB", (wide, high), pixels), (x, _EDGE + _LINE))
    stream = io.BytesIO()
    page.save(stream, "PNG", compress_level=3)  # a tenth larger in half of the time
    return stream.getvalue()


def overlay(image: Tensor, heat: Tensor) -> Tensor:
    """Lay heat over an image: colour where it is hot, grey and dim where it is not.

    Args:
        image: uint8 ``(3, H, W)``.
        heat: ``(h, w)`` from 0 on.

    Returns:
        uint8 ``(3, H, W)``.
    """
    size = image.shape[-2:]
    known = heat.float().nan_to_num(0.0, 0.0, 0.0)[None, None].cpu()
    smooth = functional.interpolate(known, size, mode="bicubic")[0].clamp_min(0)
    share = smooth / smooth.max().clamp_min(torch.finfo(torch.float32).tiny)
    table = torch.tensor(_ANCHORS, dtype=torch.float32)
    place = share[0] * (len(table) - 1)
    lower = place.floor().clamp(0, len(table) - 2).long()
    rest = (place - lower)[..., None]
    colour = (table[lower] * (1 - rest) + table[lower + 1] * rest).permute(2, 0, 1)
    grey = with_channels(image, 1).float()
    cover = _COVER * share
    mixed = _DIM * grey * (1 - cover) + colour * cover
    return mixed.round().clamp(0, 255).to(torch.uint8)
