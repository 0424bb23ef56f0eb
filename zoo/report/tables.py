"""The report's tables: the numbers, each class, the pairs that are confused."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from zoo.engine.judging.corruptions import STRENGTHS
from zoo.report.intervals import SEED, wilson
from zoo.report.markup import Markup, joined, name, tag
from zoo.report.words import percent, span

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zoo.engine.judging.classwise import ClassScore, Confusion
    from zoo.engine.judging.judgement import Judgement
    from zoo.engine.judging.robustness import Robustness
    from zoo.report.intervals import Range, Resampled
    from zoo.report.markup import Piece

LONG: Final = 40
"""Rows from which a table is shown in part, the whole on request."""
SHOWN: Final = 15
PAIRS: Final = 15


def table(heads: Sequence[str], rows: Iterable[Sequence[Piece]], style: str = "") -> Markup:
    """A table; heads that begin with ``#`` are of numbers, and so are their columns."""
    numbers = [head.startswith("#") for head in heads]
    top = [
        tag("th", head.lstrip("#"), scope="col", class_="n" if number else None)
        for head, number in zip(heads, numbers, strict=True)
    ]
    body = [
        tag(
            "tr",
            [
                tag("td", cell, class_="n" if number else None)
                for cell, number in zip(row, numbers, strict=True)
            ],
        )
        for row in rows
    ]
    head = tag("thead", tag("tr", top)) if any(head.strip("#") for head in heads) else None
    whole = tag("table", head, tag("tbody", body), class_=style or None)
    return tag("div", whole, class_="wide")


def robustness_table(found: Robustness) -> Markup:
    """What is left on spoilt images: a row for each way, a column for each strength."""
    heads = ["spoilt by", *(f"#{strength}" for strength in STRENGTHS)]
    rows = [(kind, *map(percent, shares)) for kind, shares in found.spoilt.items()]
    return table(heads, rows)


def headline(found: Judgement, drawn: Resampled | None) -> Markup:
    """Top-1, top-5, loss and macro F1, each with its interval and how that was found."""
    numbers, n = found.evaluation, found.evaluation.n
    rows: list[tuple[Piece, ...]] = []
    shares = [("top-1", numbers.top1), ("top-5", numbers.top5 if len(found.scores) > 5 else None)]
    for label, share in shares:
        if share is not None and n:
            rows.append((label, percent(share), span(wilson(round(share * n), n)), "Wilson"))
    ranges = drawn or None
    way = f"bootstrap: percentiles of {drawn.draws:,} draws, seed {SEED}" if drawn else ""
    rows += _losses(found, ranges, way)
    if found.macro_f1 is not None:
        between = _between(ranges.macro_f1) if ranges else ""
        rows.append(("macro F1", f"{found.macro_f1:.3f}", between, way))
    further = [key for key in numbers.metrics if "/" not in key]
    rows += [(name(key), f"{numbers.metrics[key]:.4f}", "", "") for key in further]
    return table(["number", "#value", "95 % interval", "method"], rows, "big")


def _losses(found: Judgement, drawn: Resampled | None, way: str) -> Iterable[tuple[Piece, ...]]:
    """The loss; where it is not the plain one of single images, that one with its interval too."""
    loss = found.evaluation.loss
    likely = drawn.loss if drawn else None
    mean = float(found.answers.losses.double().mean()) if found.answers is not None else loss
    plain = abs(mean - loss) <= 1e-3 * max(abs(loss), 1e-3)
    known = plain and likely is not None
    yield (
        "loss",
        "not a number" if math.isnan(loss) else f"{loss:.4f}",
        _between(likely) if likely and plain else "",
        way if known else "",
    )
    if likely and not plain:
        yield "negative log-likelihood", f"{mean:.4f}", _between(likely), way


def _between(range_: Range) -> str:
    return f"{range_[0]:.3f} to {range_[1]:.3f}"


def class_table(scores: Sequence[ClassScore]) -> Markup:
    """Every class that has images, the least recognised first; of many, the first ones."""
    there = sorted(
        (score for score in scores if score.n), key=lambda s: (s.right / s.n, -s.n, s.name)
    )
    heads = ["class", "#images", "#recall", "95 % interval", "0 to 100 %", "#precision", "#F1"]
    rows = [
        (
            name(s.name),
            f"{s.n:,}",
            percent(s.recall),
            tag("span", span(wilson(s.right, s.n)), class_="range"),
            _bar(s.right / s.n, wilson(s.right, s.n)),
            percent(s.precision),
            f"{s.f1:.3f}",
        )
        for s in there
    ]
    if len(rows) <= LONG:
        return table(heads, rows)
    return joined(
        tag("div", table(heads, rows[:SHOWN]), class_="first"),  # on paper, the whole is shown
        tag("details", tag("summary", f"all {len(rows):,} classes"), table(heads, rows)),
    )


def _bar(share: float, range_: Range) -> Markup:
    """A share and its interval on a line from 0 to 1."""
    low, high = (4 + 112 * end for end in range_)
    return tag(
        "svg",
        tag("line", class_="grid", x1=4, x2=116, y1=7, y2=7),
        tag("line", class_="mark", x1=low, x2=high, y1=7, y2=7),
        tag("circle", class_="dot", cx=4 + 112 * share, cy=7, r=3.5),
        viewBox="0 0 120 14", width=120, class_="bar", aria_hidden="true",
    )  # fmt: skip


def pair_table(pairs: Sequence[Confusion]) -> Markup:
    """The pairs of classes that are confused most."""
    rows = [
        (name(pair.true), name(pair.predicted), f"{pair.n:,}", percent(pair.share))
        for pair in pairs
    ]
    return table(["true class", "taken for", "#images", "#share"], rows)
