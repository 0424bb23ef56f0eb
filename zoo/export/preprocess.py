"""From an image file to a model's input, written down as steps that travel with an artefact.

The steps say everything that a runtime without zoo needs: colour mode, resize, crop, scale,
normalise. :func:`apply` follows them and nothing else, so that what the artefact says can be
compared with what zoo does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from PIL import Image, ImageOps
from torchvision.transforms.v2 import InterpolationMode, functional

from zoo.errors import CheckpointError, DataError

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from torch import Tensor

    from zoo.core.specs import InputSpec

Step = dict[str, Any]
_MODES = {1: "L", 3: "RGB", 4: "RGBA"}


def steps_of(spec: InputSpec) -> list[Step]:
    """Write an input spec as steps, in order.

    Raises:
        DataError: Images of that many channels cannot be decoded from a file.
    """
    channels, height, width = spec.size
    if channels not in _MODES:
        raise DataError(f"an image file cannot be read as {channels} channels")
    steps: list[Step] = [{"op": "decode", "mode": _MODES[channels], "orientation": "exif"}]
    how = {"interpolation": spec.interpolation, "antialias": True}
    if spec.resize is not None:
        steps.append({"op": "resize", "shorter_edge": spec.resize, **how})
        steps.append({"op": "center_crop", "size": [spec.crop or height, spec.crop or width]})
    elif spec.crop is not None:
        steps.append({"op": "resize", "shorter_edge": spec.crop, **how})
        steps.append({"op": "center_crop", "size": [spec.crop, spec.crop]})
    else:
        steps.append({"op": "resize", "size": [height, width], **how})
    steps.append({"op": "scale", "by": 1 / 255})
    if spec.mean and spec.std:
        steps.append({"op": "normalize", "mean": list(spec.mean), "std": list(spec.std)})
    return steps


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
            image = _decode(path, str(step["mode"]))
        elif op == "resize":
            image = _resize(image, step)
        elif op == "center_crop":
            image = functional.center_crop(image, list(step["size"]))
        elif op == "scale":
            image = image.to(torch.float32) * float(step["by"])
        elif op == "normalize":
            mean, std = (torch.tensor(step[key]).view(-1, 1, 1) for key in ("mean", "std"))
            image = (image - mean) / std
        else:
            raise CheckpointError(f"unknown preprocessing step {op!r}")
    return image[None]


def _decode(path: Path, mode: str) -> Tensor:
    try:
        with Image.open(path) as file:
            image: Tensor = functional.pil_to_tensor(ImageOps.exif_transpose(file).convert(mode))
    except (OSError, ValueError, SyntaxError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    return image


def _resize(image: Tensor, step: Step) -> Tensor:
    size = list(step["size"]) if "size" in step else [int(step["shorter_edge"])]
    mode = InterpolationMode(str(step["interpolation"]))
    resized: Tensor = functional.resize(
        image, size, interpolation=mode, antialias=bool(step["antialias"])
    )
    return resized
