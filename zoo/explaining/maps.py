"""Which outputs of layers are maps of the image, and how their axes lie: told by shapes alone.

Convolutional networks give ``(N, C, H, W)``, others ``(N, H, W, C)``, and transformers sequences
of tokens ``(N, L, C)``: the patches of the image, line by line, and before them tokens that stand
for no place (class, registers, distillation). How many those are follows from the grid of patches,
which the convolution that made them has put out before; patches that were cut out otherwise are
taken for square.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from torch import Tensor

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_MOST_TOKENS: Final = 16
"""Tokens that stand for no place, at most."""
_FEW_TOKENS: Final = 2
"""The same where no map of the patches was seen: class and distillation."""
Grid = tuple[int, int]
"""Rows and columns."""


@dataclass(frozen=True, slots=True)
class Spatial:
    """How an output lies over the image.

    Attributes:
        axes: ``NCHW``, ``NHWC`` or ``NLC``.
        grid: Rows and columns.
        skip: Tokens before those of the grid.
    """

    axes: Literal["NCHW", "NHWC", "NLC"]
    grid: Grid
    skip: int = 0

    def maps(self, output: Tensor) -> Tensor:
        """An output of these axes as ``(N, C, H, W)``."""
        if self.axes == "NCHW":
            return output
        if self.axes == "NHWC":
            return output.permute(0, 3, 1, 2)
        return output[:, self.skip :].transpose(1, 2).reshape(len(output), -1, *self.grid)


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer that gives maps.

    Attributes:
        path: Of the module.
        spatial: How its output lies over the image.
    """

    path: str
    spatial: Spatial


def spatial(shape: Sequence[int], image: Grid, grids: Iterable[Grid] = ()) -> Spatial | None:
    """Tell how an output lies over the image.

    Args:
        shape: Of the output, batch included.
        image: Height and width of what the model is shown, in pixels.
        grids: Of maps that were put out before, among them the patches of a transformer; tokens may
            be of a half or a quarter of one.

    Returns:
        ``None`` if it is no map of the image: another shape, another proportion, or one place.
    """
    if len(shape) == 4:
        first, last = (shape[2], shape[3]), (shape[1], shape[2])
        away = {grid: _away(grid, image) for grid in (first, last)}
        grid = min((first, last), key=away.__getitem__)  # of equal ones the usual order
        if away[grid] > 1:
            return None
        return Spatial("NCHW" if grid is first else "NHWC", grid)
    if len(shape) == 3:
        found = _of_tokens(shape[1], image, tuple(grids))
        if found is not None:
            return Spatial("NLC", found, shape[1] - found[0] * found[1])
    return None


def _of_tokens(count: int, image: Grid, grids: tuple[Grid, ...]) -> Grid | None:
    """The grid of a sequence: one that was seen or a part of it, else one of square patches."""
    seen = [*grids, *((-(-g[0] // n), -(-g[1] // n)) for g in grids for n in (2, 4))]
    sizes = [n for n in range(2, min(image)) if image[0] % n == image[1] % n == 0]
    patches = [(image[0] // n, image[1] // n) for n in sizes]
    for known, most in ((seen, _MOST_TOKENS), (patches, _FEW_TOKENS)):
        fitting = [g for g in known if g[0] * g[1] > 1 and 0 <= count - g[0] * g[1] <= most]
        if fitting:
            return max(fitting, key=lambda g: g[0] * g[1])
    return None


def first_tensor(output: object) -> Tensor | None:
    """The tensor ``(N, ...)`` that a layer gives, the first one if it gives several."""
    first = output[0] if isinstance(output, tuple | list) and output else output
    return first if isinstance(first, Tensor) else None


def _away(grid: Grid, image: Grid) -> float:
    """By how many places a grid's shorter side is off the image's proportion; maps round."""
    (rows, columns), (height, width) = grid, image
    if rows * columns < 2:
        return float("inf")
    if height <= width:
        return abs(columns * height / width - rows)
    return abs(rows * width / height - columns)
