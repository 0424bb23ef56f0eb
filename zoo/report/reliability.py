"""The reliability diagram: what the model says against how often it is right, drawn as SVG."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zoo.report.markup import Markup, joined, tag

if TYPE_CHECKING:
    from zoo.engine.judging.calibration import Bin

_SIDE: Final = 280.0
_LEFT, _TOP, _GAP, _STRIP, _BELOW = 46.0, 24.0, 30.0, 56.0, 40.0


def diagram(bins: tuple[Bin, ...]) -> Markup:
    """Draw the share of right answers by probability, and below it where the images are.

    Args:
        bins: Ranges of probability, the lowest first.
    """
    total, most = max(1, sum(b.n for b in bins)), max((b.n for b in bins), default=0)
    base, foot = _TOP + _SIDE, _TOP + _SIDE + _GAP + _STRIP
    parts = [_axes(base)]
    for one in bins:
        if not one.n:
            continue
        x, wide = _LEFT + _SIDE * one.low + 1, _SIDE * (one.high - one.low) - 2
        said = (
            f"{one.low:.2f} to {one.high:.2f}: {one.n:,} images, "
            f"mean probability {one.confidence:.3f}, right {one.accuracy:.3f}"
        )
        high, tall = _SIDE * one.accuracy, _STRIP * one.n / most
        parts.append(
            tag(
                "g",
                tag("title", said),
                tag("rect", class_="fill", x=x, y=base - high, width=wide, height=high),
                tag("circle", class_="point", cx=_LEFT + _SIDE * one.confidence,
                    cy=base - high, r=3.2),
                tag("rect", class_="dull", x=x, y=foot - tall, width=wide, height=tall),
            )
        )  # fmt: skip
    parts.append(tag("path", class_="other", d=f"M{_LEFT} {base}L{_LEFT + _SIDE} {_TOP}"))
    high, wide = foot + _BELOW, _LEFT + _SIDE + 22
    parts += [
        tag("line", class_="grid", x1=_LEFT, x2=_LEFT + _SIDE, y1=foot, y2=foot),
        tag("text", f"{100 * most / total:.0f} %", x=_LEFT - 7, y=foot - _STRIP + 9,
            text_anchor="end"),
        tag("text", "probability that the model gives", x=_LEFT, y=foot + 30),
        tag("text", "images", class_="strong", x=_LEFT, y=base + 22),
        tag("text", "share that is right", class_="strong", x=_LEFT, y=12.0),
    ]  # fmt: skip
    label = "Reliability diagram: share of right answers by the probability that the model gives"
    return tag(
        "svg", *parts, viewBox=f"0 0 {wide:g} {high:g}", width=wide, role="img", aria_label=label
    )


def _axes(base: float) -> Markup:
    parts = []
    for fifth in range(6):
        at, text = _SIDE * fifth / 5, f"{20 * fifth} %"
        parts += [
            tag("line", class_="grid", x1=_LEFT, x2=_LEFT + _SIDE, y1=base - at, y2=base - at),
            tag("text", text, x=_LEFT - 7, y=base - at + 4, text_anchor="end"),
            tag("text", text, x=_LEFT + at, y=base + _GAP + _STRIP + 14, text_anchor="middle"),
        ]
    return joined(parts)
