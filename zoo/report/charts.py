"""Curves over epochs, drawn as SVG."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from zoo.report.markup import Markup, joined, tag

if TYPE_CHECKING:
    from collections.abc import Callable

WIDTH: Final = 420.0
HEIGHT: Final = 240.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 52.0, 12.0, 42.0, 34.0


@dataclass(frozen=True, slots=True)
class Curve:
    """One line of a chart.

    Attributes:
        label: What it is called.
        values: One for each epoch; ``None`` leaves a gap.
        style: ``mark`` or ``other``.
    """

    label: str
    values: Sequence[float | None]
    style: str


def ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Round numbers from ``low`` to ``high``, both included or just inside.

    Args:
        low: The smallest number.
        high: The largest.
        count: How many there are at most.
    """
    span = high - low
    if not 0 < span < math.inf:
        return [low]
    power = 10.0 ** math.floor(math.log10(span / count))
    step = next(m * power for m in (1, 2, 2.5, 5, 10, 20) if span / (m * power) <= count)
    first = math.ceil(low / step - 1e-9)
    return [n * step for n in range(first, math.floor(high / step + 1e-9) + 1)]


def curves(
    title: str,
    lines: Sequence[Curve],
    *,
    best: int | None = None,
    say: Callable[[float], str] = "{:g}".format,
) -> Markup:
    """Draw curves over epochs, which count from 1; nothing where no curve has a value.

    Args:
        title: What is drawn, for those who do not see it.
        lines: The curves, all of one length.
        best: Epoch to mark.
        say: How a number on the upright axis is written.
    """
    shown = [value for line in lines for value in line.values if value is not None]
    if not shown:
        return Markup()
    count = len(lines[0].values)
    low, high = min(shown), max(shown)
    pad = 0.06 * (high - low) or 0.1 * abs(high) or 1.0
    low, high = low - pad if low < 0 or low - pad > 0 else 0.0, high + pad

    def across(epoch: float) -> float:
        room = WIDTH - _LEFT - _RIGHT
        return _LEFT + room * ((epoch - 1) / (count - 1) if count > 1 else 0.5)

    def up(value: float) -> float:
        return HEIGHT - _BOTTOM - (HEIGHT - _TOP - _BOTTOM) * (value - low) / (high - low)

    parts = [_level(up(value), say(value)) for value in ticks(low, high)]
    parts += [
        tag("text", str(int(n)), x=across(n), y=HEIGHT - _BOTTOM + 16, text_anchor="middle")
        for n in ticks(1, count, 8)
        if n == int(n)
    ]
    parts.append(tag("text", "epoch", x=WIDTH - _RIGHT, y=HEIGHT - 2, text_anchor="end"))
    if best is not None and 1 <= best <= count:
        at = across(best)
        parts.append(tag("line", class_="grid", x1=at, x2=at, y1=_TOP, y2=HEIGHT - _BOTTOM))
        end = "end" if at > WIDTH / 2 else "start"
        shift = 4 if end == "end" else -4
        label = f"best: epoch {best}"
        parts.append(tag("text", label, x=at + shift, y=_TOP - 5, text_anchor=end, class_="strong"))
    for line in lines:
        points = [(across(n), None if v is None else up(v)) for n, v in enumerate(line.values, 1)]
        parts.append(_line(points, line.style))
        value = line.values[best - 1] if best is not None and 1 <= best <= count else None
        if value is not None:
            parts.append(
                tag("circle", class_=_dot(line), cx=across(best or 1), cy=up(value), r=3.5)
            )
    return tag(
        "svg", _legend(lines), *parts,
        viewBox=f"0 0 {WIDTH:g} {HEIGHT:g}", width=WIDTH, role="img", aria_label=title,
    )  # fmt: skip


def _level(y: float, text: str) -> Markup:
    line = tag("line", class_="grid", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y)
    return joined(line, tag("text", text, x=_LEFT - 7, y=y + 4, text_anchor="end"))


def _legend(lines: Sequence[Curve]) -> Markup:
    parts, at = [], _LEFT
    for line in lines:
        if any(value is not None for value in line.values):
            parts.append(tag("line", class_=line.style, x1=at, x2=at + 22, y1=10.0, y2=10.0))
            parts.append(tag("text", line.label, x=at + 28, y=14.0, class_="strong"))
            at += 44 + 6.2 * len(line.label)
    return joined(parts)


def _dot(line: Curve) -> str:
    return "dot" if line.style == "mark" else "dull"


def _line(points: Sequence[tuple[float, float | None]], style: str) -> Markup:
    """A path through the points that are there; one without neighbours is a dot."""
    pieces: list[list[tuple[float, float]]] = [[]]
    for x, y in points:
        if y is None:
            pieces.append([])
        else:
            pieces[-1].append((x, y))
    parts = []
    for piece in pieces:
        if len(piece) == 1:
            fill = "dot" if style == "mark" else "dull"
            parts.append(tag("circle", class_=fill, cx=piece[0][0], cy=piece[0][1], r=2.5))
        elif piece:
            way = "L".join(f"{x:.1f} {y:.1f}" for x, y in piece)
            parts.append(tag("path", class_=style, d=f"M{way}"))
    return joined(parts)
