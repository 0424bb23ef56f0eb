"""From an image file to a model's input, written down as steps that travel with an artefact.

The steps say everything that a runtime without zoo needs. :func:`apply` follows them and nothing
else, so that what an artefact says can be compared with what zoo does.

============= ==================================================================================
op            what it does
============= ==================================================================================
decode        read the file upright (EXIF) in ``mode``; transparency over white, 16 bits scaled
resize        to ``size``; or, proportions kept, to ``cover`` or to ``fit`` a size, times ``zoom``
              (covering: the edge that binds is rounded, the other is rounded down)
center_crop   cut ``size`` out of the centre
pad           lay the image on the centre of ``size`` filled with the colour ``fill``
scale         multiply by ``by``: bytes become 0..1
normalize     subtract ``mean``, divide by ``std``, channel by channel
============= ==================================================================================

Sizes are ``[height, width]`` in pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torchvision.transforms.v2 import InterpolationMode, functional

from zoo.data.decode import read_image
from zoo.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

    from zoo.core.specs import InputSpec

Step = dict[str, Any]
_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}
_CHANNELS = {mode: channels for channels, mode in _MODES.items()}


def steps_of(
    spec: InputSpec, transform: str = "auto", options: Mapping[str, Any] | None = None
) -> list[Step]:
    """Write down how zoo brings an image file to a model's input.

    Args:
        spec: What the model expects.
        transform: Evaluation transform by name.
        options: Its options.

    Returns:
        The steps; empty if they cannot be told (a plugin's transform, an unusual channel count).
    """
    channels = spec.size[0]
    if channels not in _MODES:
        return []
    fitting = _fitting(spec, transform, options or {})
    if not fitting:
        return []
    steps = [{"op": "decode", "mode": _MODES[channels]}, *fitting, {"op": "scale", "by": 1 / 255}]
    if spec.mean and spec.std:
        steps.append({"op": "normalize", "mean": list(spec.mean), "std": list(spec.std)})
    return steps


def _fitting(spec: InputSpec, transform: str, options: Mapping[str, Any]) -> list[Step]:
    """The steps that bring an image to the input's size."""
    how = {"interpolation": spec.interpolation, "antialias": spec.interpolation != "nearest"}
    size = list(spec.size[1:])
    cut: Step = {"op": "center_crop", "size": size}
    name = spec.crop_mode if transform == "auto" else transform
    if name in ("center", "center-crop", "none"):
        return [{"op": "resize", "cover": size, "zoom": spec.zoom, **how}, cut]
    if name == "squash":
        zoom = spec.zoom if spec.crop_mode == "squash" else 1.0
        grown = [round(side * zoom) for side in size]
        return [{"op": "resize", "size": grown, **how}, *([cut] if grown != size else [])]
    if name in ("border", "letterbox"):
        zoom = spec.zoom if spec.crop_mode == "border" else 1.0
        fill = options.get("fill")
        colour = list(spec.padding) if fill is None else [int(fill)]
        fit = {"op": "resize", "fit": size, "zoom": zoom, **how}
        return [fit, {"op": "pad", "size": size, "fill": colour}]
    return []


def apply(steps: Sequence[Step], path: Path) -> Tensor:
    """Read an image file and follow the steps.

    Returns:
        Float tensor (1, C, H, W).

    Raises:
        DataError: The file is not an image.
        CheckpointError: A step is unknown.
    """
    image = torch.empty(0)
    for step in steps:
        op = step.get("op")
        if op == "decode":
            image = read_image(str(path), _CHANNELS[step["mode"]])
        elif op == "resize":
            image = _resize(image, step)
        elif op == "center_crop":
            image = functional.center_crop(image, list(step["size"]))
        elif op == "pad":
            image = _pad(image, step)
        elif op == "scale":
            image = image.to(torch.float32) * float(step["by"])
        elif op == "normalize":
            mean, std = (torch.tensor(step[key]).view(-1, 1, 1) for key in ("mean", "std"))
            image = (image - mean) / std
        else:
            raise CheckpointError(f"unknown preprocessing step {op!r}")
    return image[None]


def _resize(image: Tensor, step: Step) -> Tensor:
    size = _target(image, step)
    if tuple(image.shape[-2:]) == tuple(size):
        return image
    mode = InterpolationMode(str(step["interpolation"]))
    resized: Tensor = functional.resize(
        image, size, interpolation=mode, antialias=bool(step["antialias"])
    )
    return resized


def _target(image: Tensor, step: Step) -> list[int]:
    """Size in pixels that a resize step asks for."""
    if "size" in step:
        return [int(side) for side in step["size"]]
    high, wide = image.shape[-2:]
    zoom = float(step["zoom"])
    if "fit" in step:
        height, width = step["fit"]
        factor = min(height / high, width / wide) * zoom
        return [max(1, round(high * factor)), max(1, round(wide * factor))]
    height, width = step["cover"]
    if height * wide >= width * high:  # the height binds
        tall = round(height * zoom)
        return [tall, max(int(width), int(tall * wide / high))]
    broad = round(width * zoom)
    return [max(int(height), int(broad * high / wide)), broad]


def _pad(image: Tensor, step: Step) -> Tensor:
    height, width = step["size"]
    high, wide = min(height, image.shape[-2]), min(width, image.shape[-1])
    image = functional.center_crop(image, [high, wide])
    colour = torch.tensor(step["fill"], dtype=image.dtype).view(-1, 1, 1)
    canvas = colour.expand(image.shape[-3], height, width).clone()
    top, left = (height - high) // 2, (width - wide) // 2
    canvas[..., top : top + high, left : left + wide] = image
    return canvas
