"""Resizing, cropping and padding of uint8 images, by torch alone.

The same pixels as ``torchvision.transforms.v2.functional`` gives (a test compares them): zoo does
not call that because ``import torchvision`` brings torch's compiler along, which costs more than
half as much as torch itself, for three functions.
"""

from __future__ import annotations

import platform
from functools import cache
from typing import TYPE_CHECKING

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

PADDING = {"constant": "constant", "reflect": "reflect", "edge": "replicate"}
"""Our name of what a padding shows -> torch's."""


_MOST = 1 << 28
"""Pixels, all channels counted, that :func:`resize_parts` makes numbers of at a time."""


def resize(image: Tensor, height: int, width: int, interpolation: str) -> Tensor:
    """Resize, with antialiasing where pixels get lost.

    Args:
        image: uint8 ``(..., C, H, W)``.
        height: New height in pixels.
        width: New width in pixels.
        interpolation: ``bilinear``, ``bicubic`` or ``nearest``.

    Returns:
        uint8 ``(..., C, height, width)``.
    """
    if tuple(image.shape[-2:]) == (height, width):
        return image
    flat = image.reshape(-1, *image.shape[-3:])
    _, channel, row, pixel = flat.stride()
    if len(flat) == 1 and channel == 1 and pixel == flat.shape[1]:
        # one image's batch stride says nothing; torch then would not see that channels come last,
        # in a part cut out of an image neither
        flat = flat.as_strided(flat.shape, (flat.shape[2] * row, channel, row, pixel))
    smooth = interpolation != "nearest"
    cast = smooth and not (flat.device.type == "cpu" and _in_bytes(interpolation))
    out = functional.interpolate(
        flat.to(torch.float32) if cast else flat,
        size=[height, width],
        mode=interpolation,
        align_corners=False if smooth else None,
        antialias=smooth,
    )
    if cast:
        out = out.clamp_(0, 255).round_().to(torch.uint8)
    return out.reshape(*image.shape[:-2], height, width)


def resize_parts(
    images: Tensor,
    parts: Tensor,
    turned: Tensor,
    height: int,
    width: int,
    interpolation: str,
) -> Tensor:
    """Cut a part out of each image, resize it with antialiasing, mirror some: all at once.

    Resizing one way is a matrix, so a batch takes two products of matrices, which accelerators are
    made for; on a processor :func:`resize` is faster. The weights are torch's (Pillow's): a
    triangle, or a cubic with a = -0.5, as wide as an output pixel; products are fp16 summed in
    fp32 on an accelerator, so that results may differ from :func:`resize` by one in 255 (bicubic:
    by four, since bytes are cut off between the two directions there).

    Args:
        images: uint8 ``(N, C, H, W)``, of one size, or on canvases of one size.
        parts: int64 ``(N, 4)``: top, left, height and width of each part.
        turned: bool ``(N,)``: which are mirrored.
        height: New height in pixels.
        width: New width in pixels.
        interpolation: ``bilinear`` or ``bicubic``.

    Returns:
        uint8 ``(N, C, height, width)``.
    """
    most = max(1, _MOST // images[:1].numel())
    if len(images) > most:
        cuts = [slice(start, start + most) for start in range(0, len(images), most)]
        made = [
            resize_parts(images[cut], parts[cut], turned[cut], height, width, interpolation)
            for cut in cuts
        ]
        return torch.cat(made)
    dtype = torch.float32 if images.device.type == "cpu" else torch.float16
    top, left, high, wide = parts.to(torch.float32).unbind(1)
    down = _weights(top, high, images.shape[2], height, interpolation)
    across = _weights(left, wide, images.shape[3], width, interpolation)
    across = torch.where(turned[:, None, None], across.flip(1), across)
    count, channels, tall, long = images.shape
    flat = images.reshape(count, channels * tall, long).to(dtype)
    narrow = torch.bmm(flat, across.to(dtype).transpose(1, 2)).view(count, channels, tall, width)
    out = torch.matmul(down.to(dtype)[:, None], narrow)
    return out.clamp_(0, 255).round_().to(torch.uint8)


def _weights(start: Tensor, length: Tensor, side: int, count: int, interpolation: str) -> Tensor:
    """Weights ``(N, count, side)`` that resize ``length`` pixels from ``start`` on to ``count``.

    Args:
        start: First pixel ``(N,)``.
        length: Number of pixels ``(N,)``.
        side: Pixels of the image.
        count: Pixels of the result.
        interpolation: ``bilinear`` or ``bicubic``.
    """
    start, length = start[:, None, None], length[:, None, None]
    scale = length / count
    steps = torch.arange(count, device=start.device, dtype=torch.float32)[:, None]
    pixels = torch.arange(side, device=start.device, dtype=torch.float32) + 0.5
    away = (pixels - (start + (steps + 0.5) * scale)).abs_() / scale.clamp(min=1)
    found = (1 - away).clamp_(min=0) if interpolation == "bilinear" else _cubic(away)
    found *= (pixels > start) & (pixels < start + length)
    return found / found.sum(2, keepdim=True)


def _cubic(away: Tensor) -> Tensor:
    """Keys' cubic with a = -0.5 at distances ``(...)``."""
    near = (1.5 * away - 2.5) * away * away + 1
    far = ((-0.5 * away + 2.5) * away - 4) * away + 2
    return torch.where(away < 1, near, torch.where(away < 2, far, torch.zeros_like(away)))


@cache
def _in_bytes(interpolation: str) -> bool:
    """Whether torch resizes bytes as fast as it resizes floats, on this processor."""
    vectors = torch.backends.cpu.get_cpu_capability() in ("AVX2", "AVX512")
    return interpolation == "bicubic" or vectors or platform.machine() in ("aarch64", "arm64")


def center_crop(image: Tensor, height: int, width: int) -> Tensor:
    """Cut the centre out; black is added around an image that is too small.

    Args:
        image: uint8 ``(..., C, H, W)``.
        height: In pixels.
        width: In pixels.

    Returns:
        uint8 ``(..., C, height, width)``.
    """
    tall, wide = max(0, height - image.shape[-2]), max(0, width - image.shape[-1])
    if tall or wide:
        edges = [wide // 2, (wide + 1) // 2, tall // 2, (tall + 1) // 2]
        image = functional.pad(image, edges)
    top = round((image.shape[-2] - height) / 2.0)
    left = round((image.shape[-1] - width) / 2.0)
    return image[..., top : top + height, left : left + width]


def on_canvas(image: Tensor, height: int, width: int, fill: Sequence[int]) -> Tensor:
    """Lay images on the centre of a coloured canvas; what stands out is cut off.

    Args:
        image: uint8 ``(..., C, H, W)``.
        height: Of the canvas, in pixels.
        width: Of the canvas, in pixels.
        fill: Its colour, 0 to 255: one value a channel, or one for all.

    Returns:
        uint8 ``(..., C, height, width)``.
    """
    high, wide = min(height, image.shape[-2]), min(width, image.shape[-1])
    part = center_crop(image, high, wide)
    if (high, wide) == (height, width):
        return part
    colour = torch.tensor(fill, dtype=image.dtype, device=image.device).view(-1, 1, 1)
    canvas = colour.expand(*image.shape[:-2], height, width).clone()
    top, left = (height - high) // 2, (width - wide) // 2
    canvas[..., top : top + high, left : left + wide] = part
    return canvas


def pad(image: Tensor, edges: Sequence[int], fill: int = 0, mode: str = "constant") -> Tensor:
    """Add pixels around images.

    Args:
        image: uint8 ``(..., C, H, W)``.
        edges: Pixels to add left, top, right, bottom.
        fill: Their value, 0 to 255, for ``constant``.
        mode: ``constant``, ``reflect`` or ``edge``.

    Returns:
        uint8 ``(..., C, top + H + bottom, left + W + right)``.
    """
    left, top, right, bottom = edges
    sides = [left, right, top, bottom]
    if mode == "constant":
        return functional.pad(image, sides, value=float(fill))
    flat = image.reshape(-1, *image.shape[-3:]).to(torch.float32)  # torch mirrors floats only
    out = functional.pad(flat, sides, mode=PADDING[mode]).to(torch.uint8)
    return out.reshape(*image.shape[:-2], *out.shape[-2:])
