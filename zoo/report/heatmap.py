"""The confusion of classes as a map: true classes by row, what they were taken for by column."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zoo.report.markup import Markup, joined, shortened, tag

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from zoo.engine.judging.classwise import ClassScore

LIMIT: Final = 40
"""Classes that a map may have."""
_LETTER: Final = 6.4
_LONGEST: Final = 22


def heat_map(scores: Sequence[ClassScore], confusion: Tensor) -> Markup:
    """Draw the confusion; nothing if there are too many classes.

    Where a model knows many classes and few of them have images, the map is of those, and one
    column is of all the others.

    Args:
        scores: Of every class, in the order of the rows.
        confusion: Counts ``(K, K)``.
    """
    chosen = list(range(len(scores)))
    if len(chosen) > LIMIT:
        chosen = [k for k in chosen if scores[k].n]
    if not chosen or len(chosen) > LIMIT:
        return Markup()
    counts = confusion[chosen][:, chosen].tolist()
    names = [scores[k].name for k in chosen]
    heads = list(names)
    if len(chosen) < len(scores):
        answered = confusion[chosen].sum(1).tolist()
        counts = [[*row, total - sum(row)] for row, total in zip(counts, answered, strict=True)]
        heads.append("(other classes)")
    return _drawn(names, heads, counts, [scores[k].n for k in chosen])


def _drawn(names: list[str], heads: list[str], counts: list[list[int]], n: Sequence[int]) -> Markup:
    cell = 38.0 if len(heads) <= 12 else 24.0 if len(heads) <= 24 else 18.0
    left = 14 + _LETTER * max(len(shortened(name, _LONGEST)) for name in names)
    top = 14 + 0.8 * _LETTER * max(len(shortened(head, _LONGEST)) for head in heads)
    parts = [
        tag("text", shortened(head, _LONGEST), tag("title", head),
            transform=f"translate({left + cell * (at + 0.5) + 3:.1f} {top - 7:.1f}) rotate(-50)")
        for at, head in enumerate(heads)
    ]  # fmt: skip
    for row, name in enumerate(names):
        y = top + cell * row
        text = shortened(name, _LONGEST)
        parts.append(
            tag("text", text, tag("title", name), x=left - 8, y=y + cell / 2 + 4, text_anchor="end")
        )
        width = cell * len(heads) - 1
        parts.append(tag("rect", class_="cell", x=left, y=y, width=width, height=cell - 1))
        for column, count in enumerate(counts[row]):
            if count:
                said = f"{name} → {heads[column]}: {count:,} of {n[row]:,}"
                x = left + cell * column
                parts.append(_cell(x, y, cell, count, count / n[row], said))
    room = 0.65 * _LETTER * max(len(shortened(head, _LONGEST)) for head in heads[-3:])
    wide, high = left + cell * len(heads) + room, top + cell * len(names) + 4
    label = f"Confusion of {len(names)} classes; the pairs are listed in the table"
    return tag(
        "svg", *parts, viewBox=f"0 0 {wide:.0f} {high:.0f}", width=f"{wide:.0f}", role="img",
        aria_label=label,
    )  # fmt: skip


def _cell(x: float, y: float, cell: float, count: int, share: float, said: str) -> Markup:
    size, middle = cell - 1, cell / 2 - 0.5
    box = tag(
        "rect", class_="fill", fill_opacity=0.08 + 0.92 * share, x=x, y=y, width=size, height=size
    )
    text = None
    if 7 * len(str(count)) < size:
        tone = "inverse" if share > 0.5 else "strong"
        text = tag("text", str(count), class_=tone, x=x + middle, y=y + middle + 4,
                   text_anchor="middle")  # fmt: skip
    return joined(tag("g", tag("title", said), box, text))
