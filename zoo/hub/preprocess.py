"""What a repository says about its images, as an :class:`~zoo.core.specs.InputSpec`.

Mean, std, size, crop and interpolation come from the repository, never from the architecture:
``resnet18.a1_in1k`` is bicubic at 0.95 although torchvision's resnet18 is bilinear at 0.875.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any, Final, Literal, cast

from zoo.core.specs import InputSpec

Interpolation = Literal["bilinear", "bicubic", "nearest"]
CropMode = Literal["center", "squash", "border"]
_PIL: Final = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic", 4: "box", 5: "hamming"}


def from_timm(cfg: Mapping[str, Any]) -> tuple[InputSpec, tuple[str, ...]]:
    """Read timm's ``pretrained_cfg`` (or an old config's top level).

    Centre mode resizes the shorter edge to ``floor(size / crop_pct)`` and crops the centre;
    squash resizes both edges to that, border the longer one.

    Returns:
        The input, and what could not be carried over, one line each.
    """
    notes: list[str] = []
    size = _triple(cfg.get("input_size"))
    pct = _number(cfg.get("crop_pct"), 0.875)
    mode = str(cfg.get("crop_mode") or "center")
    if mode not in ("center", "squash", "border"):
        notes.append(f"crop mode {mode!r} is read as 'center'")
        mode = "center"
    return (
        InputSpec(
            size=size,
            mean=_floats(cfg.get("mean"), size[0]),
            std=_floats(cfg.get("std"), size[0]),
            resize=math.floor(size[1] / pct) if pct else size[1],
            crop=size[1],
            interpolation=_interpolation(cfg.get("interpolation") or "bicubic", notes),
            crop_mode=cast("CropMode", mode),
        ),
        tuple(notes),
    )


def from_transformers(
    processor: Mapping[str, Any], *, channels: int = 3
) -> tuple[InputSpec, tuple[str, ...]]:
    """Read transformers' ``preprocessor_config.json``.

    Args:
        processor: The file's content.
        channels: Input channels as the model's config states them.

    Returns:
        The input, and what could not be carried over, one line each.
    """
    notes: list[str] = []
    resize, crop, mode = _edges(processor, notes)
    normal = processor.get("do_normalize", True)
    factor = _number(processor.get("rescale_factor"), 1 / 255)
    if not math.isclose(factor, 1 / 255, rel_tol=1e-3):
        notes.append(f"rescale_factor {factor:g} is not 1/255 and is not carried over")
    return (
        InputSpec(
            size=(channels, crop, crop),
            mean=_floats(processor.get("image_mean"), channels) if normal else (0.0,) * channels,
            std=_floats(processor.get("image_std"), channels) if normal else (1.0,) * channels,
            resize=resize,
            crop=crop,
            interpolation=_interpolation(processor.get("resample", 2), notes),
            crop_mode=mode,
        ),
        tuple(notes),
    )


def _edges(processor: Mapping[str, Any], notes: list[str]) -> tuple[int, int, CropMode]:
    """(edge in pixels before the crop, crop, how)."""
    size = processor.get("size")
    cropped = _edge(processor.get("crop_size")) if processor.get("do_center_crop") else None
    pct = processor.get("crop_pct")
    mode: CropMode = "center"
    if isinstance(size, Mapping) and "height" in size:
        mode = "squash"
        if size.get("height") != size.get("width"):
            notes.append("images are not square there; the height is taken")
    edge = _edge(size) or cropped or 224
    if cropped:
        return edge, cropped, mode
    if pct and edge < 384:  # ConvNext's processor, which ResNet repositories use
        return int(edge / float(pct)), edge, mode
    return edge, edge, mode


def _edge(size: Any) -> int | None:
    if isinstance(size, Mapping):
        size = size.get("shortest_edge", size.get("height"))
    return int(size) if isinstance(size, int | float) and size > 0 else None


def _interpolation(value: Any, notes: list[str]) -> Interpolation:
    name = _PIL.get(value, "bilinear") if isinstance(value, int) else str(value).rpartition(".")[2]
    name = name.lower()
    if name in ("bilinear", "bicubic", "nearest"):
        return cast("Interpolation", name)
    instead: Interpolation = "bicubic" if name == "lanczos" else "bilinear"
    if name != "random":
        notes.append(f"interpolation {name!r} is read as {instead!r}")
    return instead


def _triple(value: Any) -> tuple[int, int, int]:
    good = isinstance(value, list | tuple) and len(value) == 3
    if good and all(isinstance(n, int) and n > 0 for n in value):
        return cast("tuple[int, int, int]", tuple(value))
    return (3, 224, 224)


def _number(value: Any, default: float) -> float:
    good = isinstance(value, int | float) and not isinstance(value, bool) and value > 0
    return float(value) if good else default


def _floats(value: Any, channels: int) -> tuple[float, ...]:
    if isinstance(value, list | tuple) and all(isinstance(n, int | float) for n in value):
        numbers = tuple(float(n) for n in value)
        return numbers * channels if len(numbers) == 1 else numbers
    return ()


def to_timm(given: InputSpec) -> dict[str, Any]:
    """An input as timm's ``pretrained_cfg`` entries, so that its transform gives the same pixels.

    timm computes ``floor(size / crop_pct)``: the fraction is chosen so that this gives exactly
    the resize that the weights were made with.
    """
    crop = given.crop or given.size[1]
    resize = given.resize or crop
    return {
        "input_size": list(given.size),
        "interpolation": given.interpolation,
        "crop_pct": crop_fraction(crop, resize),
        "crop_mode": given.crop_mode,
        "mean": list(given.mean) or [0.0] * given.size[0],
        "std": list(given.std) or [1.0] * given.size[0],
    }


def crop_fraction(crop: int, resize: int) -> float:
    """A short ``crop_pct`` for which ``floor(crop / crop_pct) == resize``."""
    for digits in range(1, 17):
        for value in (round(crop / resize, digits), round(crop / resize, digits) - 10**-digits):
            if value > 0 and math.floor(crop / value) == resize:
                return round(value, digits)
    return crop / resize
