"""The size of the images that a model sees: asked for, expected by weights, or built in; and in training.

Most networks take images of any size. Some are built for one (a ViT's position embedding): those
have a builder option for it, which has to agree with the images. Imports no torch.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from zoo.core.specs import InputSpec, ModelSpec

LEAST: Final = 128
"""Pixels from which on a training size of its own is chosen; below, maps get too small."""
SMALLEST: Final = 0.85
"""Least share of the size in evaluation: further down, some images lose what tells them apart."""
STEP: Final = 32
"""Sizes are chosen in these steps: networks halve their maps five times."""
OPTIONS: Final = ("image_size", "img_size", "input_size", "size")
"""Names that builders give to the size that they are built for."""


def size_option(spec: ModelSpec) -> str:
    """The builder option that fixes the size of the images; empty where any size will do.

    Args:
        spec: The model's registry entry; the option's default is its declared input's size.
    """
    side = spec.input.size[1] if spec.input else None
    found = (n for n in OPTIONS if n in spec.options and _side(spec.options[n]) == side)
    return next(found, "") if side is not None else ""


def agree(
    spec: ModelSpec,
    options: Mapping[str, Any],
    given: InputSpec,
    size: int | None,
    *,
    pretrained: bool,
) -> tuple[dict[str, Any], InputSpec]:
    """Make a builder's size option and the input agree.

    Args:
        spec: The model's registry entry.
        options: Builder options that weights or a person state.
        given: What the weights or the registry expect.
        size: Height and width asked for, in pixels; ``None`` = not asked.
        pretrained: Whether there are weights, which are for one size.

    Returns:
        Options, and the input without ``size`` applied where that is free.

    Raises:
        UsageError: The weights, or an option, are for another size.
    """
    name = size_option(spec)
    if not name:
        return dict(options), given
    built = _side(options.get(name, spec.options[name]))
    if size is None or size == built:
        return dict(options), given if built == given.size[1] else fit_input(given, built, None)
    if pretrained:
        raise UsageError(
            f"these weights of {spec.qualified} take images of {built} x {built}, not {size}",
            hint=f"--size {built}, or leave it out; --weights none for other sizes",
        )
    if name in options:
        raise UsageError(
            f"--size {size} and the model's option {name} = {built} differ",
            hint="leave one of them out",
        )
    whole = isinstance(spec.options[name], int)
    return {**options, name: size if whole else [size, size]}, given


def parse_train_size(given: int | str | None) -> int | None:
    """What ``--train-size`` means: pixels; 0 = the size in evaluation; ``None`` = ``auto``.

    Raises:
        UsageError: It is neither pixels nor ``same`` nor ``auto``.
    """
    if given in (None, "same", "auto"):
        return None if given == "auto" else 0
    if isinstance(given, int) or given.isdecimal():
        found = int(given)
        if found >= 1:
            return found
    raise UsageError(
        f"--train-size {given!r} is not a size", hint="--train-size 192, same, or auto"
    )


def check_shrink(edge: int | None, shown: InputSpec) -> None:
    """Refuse to reduce images to less than the model is shown: they would be enlarged again.

    Args:
        edge: Pixels on the shorter side, as given with ``--shrink``.
        shown: What the model is shown.

    Raises:
        UsageError: It is less.
    """
    least = min(shown.size[1:])
    if edge is not None and edge < least:
        raise UsageError(
            f"--shrink {edge} is smaller than what the model is shown, {least} pixels",
            hint=f"--shrink {2 * least}: crops are parts of the image",
        )


def auto_train_size(shown: InputSpec, magnifies: float | None) -> int:
    """A size at which training shows things about as large as evaluation does, in pixels.

    A random crop is enlarged to the input's size; evaluation shows the whole image. So at one size
    things look larger in training, and a network is better judged at more pixels than it was
    trained at (Touvron et al., 2019, "Fixing the train-test resolution discrepancy"; torchvision's
    newer weights are trained at 176 and judged at 224). This goes part of the way.

    Args:
        shown: What evaluation shows.
        magnifies: How many times larger than in the whole image, fitted to the same size, the
            training transform shows things on average; ``None`` where it does not say.
    """
    side = min(shown.size[1:])
    if magnifies is None or side < LEAST or shown.size[1] != shown.size[2]:
        return shown.size[1]
    suits = round(side * shown.zoom / magnifies / STEP)
    return min(side, max(suits, math.ceil(side * SMALLEST / STEP)) * STEP)


def _side(value: Any) -> int | None:
    """One side of ``224``, ``[224, 224]`` or ``(224, 224)``."""
    first = value[0] if isinstance(value, list | tuple) and value else value
    return first if isinstance(first, int) else None


def fit_input(given: InputSpec, size: int | None, channels: int | None) -> InputSpec:
    """An input with another size or other channels; resize keeps its proportion to the crop.

    Args:
        given: What the weights expect.
        size: Height and width in pixels; ``None`` = as given.
        channels: Channels; mean and std are averaged over the given ones if they differ.
    """
    made = given
    if size is not None:
        old = given.crop or given.size[1]
        resize = round(given.resize * size / old) if given.resize else None
        crop = size if given.crop else None
        made = replace(made, size=(given.size[0], size, size), resize=resize, crop=crop)
    if channels is not None and channels != given.size[0]:
        made = replace(
            made,
            size=(channels, *made.size[1:]),
            mean=_repeat(given.mean, channels),
            std=_repeat(given.std, channels),
        )
    return made


def _repeat(values: tuple[float, ...], channels: int) -> tuple[float, ...]:
    return (sum(values) / len(values),) * channels if values else ()
