"""A preview as one picture: a row for each image, a column for evaluation and for each epoch."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

from PIL import Image, ImageDraw

from zoo.data.decode import with_channels
from zoo.engine.lettering import fitted, font, length
from zoo.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.engine.preview import Preview, Shown

LARGE: Final = 256
"""Pixels of a side above which images are reduced; small ones are enlarged by a whole number."""
SMALL: Final = 128
"""Pixels that small images are enlarged to, about."""
_MARGIN, _GAP, _APART = 24, 8, 24
_INK, _PALE, _LINE = "#1a1a1a", "#6e6e6e", "#d4d4d4"


def draw(preview: Preview) -> Image.Image:
    """Draw a preview: its pixels as they are before they are normalised, text around them.

    Args:
        preview: What training is shown.

    Raises:
        DataError: Its images have more channels than pictures have.
    """
    plan = _Plan(preview)
    sheet = Image.new("RGB", plan.size, "#ffffff")
    pen = ImageDraw.Draw(sheet)

    def write(at: tuple[int, int], text: str, points: int, ink: str, width: int) -> None:
        pen.text(at, fitted(text, points, width), ink, font(points))

    wide = plan.size[0] - 2 * _MARGIN
    write((_MARGIN, _MARGIN), preview.title, plan.title, _INK, wide)
    for column, text in enumerate(("evaluation", *preview.epochs)):
        at, room = (plan.left[column], plan.top - plan.name - plan.fine - 14), plan.widths[column]
        write(at, text, plan.name, _PALE if text.startswith("(") else _INK, room)
        high, broad = plan.sides[min(column, 1)]
        write((at[0], at[1] + plan.name + 4), f"{high} x {broad}", plan.fine, _PALE, room)
    for place, row in enumerate(preview.rows):
        top = plan.top + place * (plan.high + _GAP)
        write((_MARGIN, top), row.name, plan.name, _INK, plan.labels)
        write((_MARGIN, top + plan.name + 6), _file(row), plan.fine, _PALE, plan.labels)
        for left, view in zip(plan.left, (row.evaluation, *row.training), strict=True):
            picture = _picture(view, plan.factor)
            edge = (left - 1, top - 1, left + picture.width, top + picture.height)
            pen.rectangle(edge, None, _LINE)  # a white picture has an edge, too
            sheet.paste(picture, (left, top))
    for place, note in enumerate(preview.notes):
        low = plan.foot + place * (plan.fine + 6)
        write((_MARGIN, low), note, plan.fine, _PALE, wide)
    return sheet


class _Plan:
    """Where everything lies, in pixels; text is larger on larger sheets."""

    def __init__(self, preview: Preview) -> None:
        self.preview, first = preview, preview.rows[0]
        self.sides = [_side(first.evaluation), _side(first.training[0])]
        self.factor = _factor(max(max(side) for side in self.sides))
        cells = [(round(h * self.factor), round(w * self.factor)) for h, w in self.sides]
        self.high = max(high for high, _ in cells)
        self.widths = [cells[0][1], *[cells[1][1]] * len(self.preview.epochs)]
        larger = min(1.4, max(1.0, self.high / 160))
        self.title, self.name, self.fine = (round(points * larger) for points in (20, 16, 13))
        self.top = _MARGIN + self.title + 18 + self.name + self.fine + 14
        self.foot = self.top + len(self.preview.rows) * (self.high + _GAP) + 4

    @cached_property
    def labels(self) -> int:
        """Width of the labels: as the longest, up to twelve times their height."""
        rows = self.preview.rows
        names = [length(row.name, self.name) for row in rows]
        files = [length(_file(row), self.fine) for row in rows]
        return min(12 * self.name, round(max(names + files)) + 2)

    @cached_property
    def left(self) -> list[int]:
        """Where each column begins."""
        found = [_MARGIN + self.labels + _APART]
        for column, width in enumerate(self.widths[:-1]):
            found.append(found[-1] + width + (_GAP if column else _APART))
        return found

    @property
    def size(self) -> tuple[int, int]:
        """Width and height of the sheet."""
        notes = len(self.preview.notes) * (self.fine + 6)
        return self.left[-1] + self.widths[-1] + _MARGIN, self.foot + notes + _MARGIN - _GAP


def _picture(view: Tensor, factor: float) -> Image.Image:
    """A picture of uint8 ``(C, H, W)``."""
    if not 1 <= view.shape[0] <= 4:
        raise DataError(f"images of {view.shape[0]} channels are no pictures")
    image = with_channels(view.cpu(), 1 if view.shape[0] == 1 else 3)
    channels, high, wide = image.shape
    pixels = image.permute(1, 2, 0).contiguous().numpy().tobytes()
    picture = Image.frombytes("L" if channels == 1 else "RGB", (wide, high), pixels)
    if factor == 1:
        return picture.convert("RGB")
    how = Image.Resampling.NEAREST if factor > 1 else Image.Resampling.LANCZOS
    return picture.resize((round(wide * factor), round(high * factor)), how).convert("RGB")


def _side(view: Tensor) -> tuple[int, int]:
    """Height and width of ``(C, H, W)``."""
    return int(view.shape[-2]), int(view.shape[-1])


def _factor(side: int) -> float:
    """How many times larger a side (pixels) is drawn."""
    return LARGE / side if side > LARGE else max(1, round(SMALL / side))


def _file(row: Shown) -> str:
    """What an image is called inside its class."""
    return row.key.removeprefix(f"{row.name}/")
