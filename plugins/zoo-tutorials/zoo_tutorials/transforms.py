"""Transforms of the introductions: uint8 (C, H, W) to uint8 (C, H, W)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torchvision.transforms import v2

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.plugin import InputSpec


def padded_crop(
    input: InputSpec,  # noqa: A002 - the contract's own word
    padding: int | Sequence[int] = 4,
    fill: int = 0,
    mode: str = "constant",
    flip: bool = False,
) -> v2.Compose:
    """Resize, pad each edge, and crop a random window of the input's size.

    Args:
        input: What the model expects.
        padding: Pixels that are added at each edge; two numbers: left and right, top and bottom;
            four: left, top, right, bottom.
        fill: Value of the added pixels, 0 to 255, where ``mode`` is ``constant``.
        mode: ``constant``, ``edge``, ``reflect`` or ``symmetric``.
        flip: Also mirror half of the images (do not do that to digits).
    """
    height, width = input.size[1:]
    steps = [
        v2.Resize((height, width), antialias=True),
        v2.RandomCrop(
            (height, width),
            padding=padding if isinstance(padding, int) else list(padding),
            fill=fill,
            padding_mode=mode,
        ),
    ]
    if flip:
        steps.append(v2.RandomHorizontalFlip())
    return v2.Compose(steps)
