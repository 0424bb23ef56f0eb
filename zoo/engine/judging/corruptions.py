"""Images as cameras, compression and bad light spoil them, each in three strengths.

Six of the corruptions of ImageNet-C (Hendrycks and Dietterich, "Benchmarking Neural Network
Robustness to Common Corruptions and Perturbations", 2019, https://arxiv.org/abs/1903.12261), with
its parameters of severity 1, 3 and 5. They are applied to what the model is shown, as there.
Lengths in pixels are those for 224 and go with the size, down to those of CIFAR-10-C. What is
random is drawn from the pixels of the image itself: the same image is spoilt in the same way
whatever it is shown beside.
"""

from __future__ import annotations

import io
import zlib
from collections.abc import Callable
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.nn import functional

STRENGTHS: Final = ("mild", "medium", "strong")
_STATED: Final = 224

Corruption = Callable[[Tensor, int], Tensor]
"""uint8 ``(N, C, H, W)`` and a strength from 0 to uint8 of the same shape."""


def noise(images: Tensor, strength: int) -> Tensor:
    """Gaussian noise on every value, as of a sensor in little light; ``(N, C, H, W)``."""
    scale = (0.08, 0.18, 0.38)[strength]
    drawn = [_drawn(image) for image in images]
    return _bytes(_shares(images) + scale * torch.stack(drawn))


def blur(images: Tensor, strength: int) -> Tensor:
    """Gaussian blur, as out of focus; ``(N, C, H, W)``."""
    height, width = images.shape[-2:]
    least = (0.4, 0.7, 1.0)[strength]
    sigma = max(least, (1.0, 3.0, 6.0)[strength] * min(height, width) / _STATED)
    reach = max(1, round(4 * sigma))
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float32)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel /= kernel.sum()
    channels = images.shape[1]
    found = functional.pad(_shares(images), (reach, reach, reach, reach), mode="replicate")
    rows = kernel.view(1, 1, -1, 1).expand(channels, 1, -1, 1)
    found = functional.conv2d(found, rows, groups=channels)
    found = functional.conv2d(found, rows.transpose(2, 3), groups=channels)
    return _bytes(found)


def brightness(images: Tensor, strength: int) -> Tensor:
    """Overexposed: a colour is raised (its HSV value), hue and saturation stay; ``(N, C, H, W)``."""
    shares = _shares(images)
    value = shares.amax(1, keepdim=True)
    raised = (value + (0.1, 0.3, 0.5)[strength]).clamp(0, 1)
    return _bytes(torch.where(value > 0, shares * (raised / value.clamp(min=1e-6)), raised))


def contrast(images: Tensor, strength: int) -> Tensor:
    """Washed out, as in fog: less of the distance from each channel's mean; ``(N, C, H, W)``."""
    shares = _shares(images)
    mean = shares.mean((2, 3), keepdim=True)
    return _bytes((shares - mean) * (0.4, 0.2, 0.05)[strength] + mean)


def pixelate(images: Tensor, strength: int) -> Tensor:
    """Taken or sent at a small size, and enlarged again; ``(N, C, H, W)``."""
    height, width = images.shape[-2:]
    share = (0.6, 0.4, 0.25)[strength]
    size = max(1, int(height * share)), max(1, int(width * share))
    small = functional.interpolate(_shares(images), size=size, mode="area")
    return _bytes(functional.interpolate(small, size=(height, width), mode="nearest-exact"))


def jpeg(images: Tensor, strength: int) -> Tensor:
    """Compressed hard; ``(N, C, H, W)``, only of one and three channels."""
    quality = (25, 15, 7)[strength]
    return torch.stack([_compressed(image, quality) for image in images])


CORRUPTIONS: Final[dict[str, Corruption]] = {
    "noise": noise,
    "blur": blur,
    "brightness": brightness,
    "contrast": contrast,
    "pixelate": pixelate,
    "jpeg": jpeg,
}
"""By name, in the order in which they are shown."""


def possible(channels: int) -> dict[str, Corruption]:
    """The corruptions that images of so many channels can have.

    The last of two or four channels says how opaque a pixel is, as it does wherever files are
    read; no light falls on it, and it stays as it is.
    """
    if channels in (2, 4):
        return {name: _below_alpha(spoil) for name, spoil in CORRUPTIONS.items()}
    return {n: f for n, f in CORRUPTIONS.items() if f is not jpeg or channels in (1, 3)}


def _below_alpha(spoil: Corruption) -> Corruption:
    def colours(images: Tensor, strength: int) -> Tensor:
        return torch.cat([spoil(images[:, :-1], strength), images[:, -1:]], 1)

    return colours


def _shares(images: Tensor) -> Tensor:
    return images.float() / 255


def _bytes(shares: Tensor) -> Tensor:
    return shares.clamp(0, 1).mul(255).round().to(torch.uint8)


def _compressed(image: Tensor, quality: int) -> Tensor:
    pixels = image[0].numpy() if len(image) == 1 else image.permute(1, 2, 0).contiguous().numpy()
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "jpeg", quality=quality)
    found = torch.from_numpy(np.array(Image.open(file)))
    return found[None] if found.ndim == 2 else found.permute(2, 0, 1).contiguous()


def _drawn(image: Tensor) -> Tensor:
    """Normal numbers of an image's shape, which depend on nothing but its pixels."""
    seed = zlib.crc32(image.contiguous().numpy().tobytes())
    return torch.randn(image.shape, generator=torch.Generator().manual_seed(seed))
