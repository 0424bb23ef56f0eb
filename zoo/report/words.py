"""The report in sentences: what a person should take away, and what should make them careful."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zoo.report.intervals import wilson
from zoo.report.markup import Markup, joined, name, tag

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zoo.engine.judging.calibration import Calibration
    from zoo.engine.judging.judgement import Judgement
    from zoo.report.intervals import Range

FEW: Final = 30
"""Images of a class below which its recall says little: the interval is some 30 points wide."""
_NAMED: Final = 12
_PERCENT: Final = "\u00a0%"


def percent(share: float | None) -> str:
    """A share in percent with one decimal."""
    return "none" if share is None else f"{100 * share:.1f}{_PERCENT}"


def span(range_: Range) -> str:
    """An interval of a share in percent."""
    return f"{100 * range_[0]:.1f} to {100 * range_[1]:.1f}{_PERCENT}"


def several(count: int, word: str) -> str:
    """A number of things: ``1 image``, ``2 images``, ``3 classes``."""
    plural = f"{word}es" if word.endswith("s") else f"{word}s"
    return f"{count:,} {word if count == 1 else plural}"


def in_short(found: Judgement) -> list[Markup]:
    """What a person should take away, a sentence each."""
    return [*_results(found), *_calibration(found.calibration)]


def _results(found: Judgement) -> Iterable[Markup]:
    n = found.evaluation.n
    if found.evaluation.top1 is None or not n:
        return
    hits = round(found.evaluation.top1 * n)
    yield joined(
        tag("strong", percent(hits / n)), f" of {several(n, 'image')} are recognised. With 95 % ",
        f"confidence, it is {span(wilson(hits, n))} of all images like these.",
    )  # fmt: skip
    there = [(score.right / score.n, score) for score in found.scores if score.n]
    if len(there) > 1:
        share, worst = min(there, key=lambda pair: pair[0])
        if share < 1:
            yield joined(
                "Least recognised is ", name(worst.name), f": {worst.right:,} of its ",
                f"{several(worst.n, 'image')}, {percent(share)} ({span(wilson(worst.right, worst.n))}).",
            )  # fmt: skip
    for pair in found.confused(1):
        total = next(score.n for score in found.scores if score.name == pair.true)
        yield joined(
            "The most frequent mistake: ", name(pair.true), " taken for ", name(pair.predicted),
            f", {pair.n:,} of {several(total, 'image')}.",
        )  # fmt: skip


def _calibration(found: Calibration | None) -> Iterable[Markup]:
    if found is None:
        return
    said = (
        f"It is {percent(found.confidence)} sure on average, and right in {percent(found.accuracy)}"
    )
    yield joined(f"{said}: {verdict(found)}.")


def verdict(found: Calibration) -> str:
    """Whether probabilities can be taken at their word."""
    if found.ece <= 1.5 * found.chance:
        return "its probabilities fit, as far as so many images can tell"
    if abs(found.confidence - found.accuracy) < found.ece / 2:
        return "right on average, but not at every level; see the calibration"
    if found.confidence > found.accuracy:
        return "it is too sure of itself"
    return "it is more often right than it says"


def cautions(found: Judgement) -> list[Markup]:
    """What these numbers do not say."""
    made: list[Markup] = []
    if found.split == "val":
        made.append(
            joined(
                "These images also chose the epoch that was kept, so the numbers are a little ",
                "too good. Images that training never saw say more: --data FOLDER.",
            )
        )
    elif found.split in ("train", "all"):
        many = "most of these" if found.split == "all" else "these very"
        made.append(joined(f"The model was trained on {many} images: others will fare worse."))
    lost = int(found.answers.void.sum()) if found.answers is not None else 0
    if lost:
        said = f"The outputs for {several(lost, 'image')} are no numbers; they count as mistakes."
        made.append(joined(said))
    few = sum(1 for score in found.scores if 0 < score.n < FEW)
    if few:
        made.append(
            joined(
                f"{several(few, 'class')} with fewer than {FEW} images: look at the intervals ",
                "rather than at the numbers.",
            )
        )
    empty = [score.name for score in found.scores if not score.n]
    if empty:
        made.append(joined("Without images, so nothing is known of them: ", _listed(empty), "."))
    made.append(
        joined("Intervals are about chance alone. Other cameras, places or times may give less.")
    )
    return made


def _listed(names: list[str]) -> Markup:
    shown = [joined(", " if at else None, name(text)) for at, text in enumerate(names[:_NAMED])]
    more = len(names) - _NAMED
    return joined(*shown, f" and {more:,} more" if more > 0 else None)
