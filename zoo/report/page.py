"""The page: one file that needs no other, no network and no script."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from zoo.report.charts import Curve, curves
from zoo.report.facts import what_was_measured
from zoo.report.heatmap import LIMIT, heat_map
from zoo.report.intervals import resample
from zoo.report.markup import Markup, joined, name, tag
from zoo.report.mistakes import gallery
from zoo.report.reliability import diagram
from zoo.report.style import stylesheet
from zoo.report.tables import PAIRS, class_table, headline, pair_table, robustness_table, table
from zoo.report.target import HEAD, write_page
from zoo.report.training import read_training
from zoo.report.words import cautions, in_short, percent, several

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.engine.judging.judgement import Judgement
    from zoo.engine.start.loaded import Loaded
    from zoo.report.markup import Piece
    from zoo.report.training import Training

_POLICY: Final = "default-src 'none'; style-src 'unsafe-inline'; img-src data:"
"""What the page may load: nothing from anywhere."""


def write_report(
    found: Judgement, loaded: Loaded, path: Path, *, when: datetime | None = None
) -> Judgement:
    """Write the report of an evaluation.

    Args:
        found: The evaluation, looked at closely.
        loaded: The model that was evaluated.
        path: The file; an earlier report there is replaced.
        when: The moment, with its time zone; default: now.

    Returns:
        The evaluation, with the place of its report.

    Raises:
        UsageError: The file is not a report of zoo's.
        DiskError: It cannot be written.
    """
    write_page(path, page(found, loaded, when or datetime.now().astimezone()))
    return replace(found, report=path)


def page(found: Judgement, loaded: Loaded, when: datetime) -> str:
    """The page as text.

    Args:
        found: The evaluation, looked at closely.
        loaded: The model that was evaluated.
        when: The moment, with its time zone.
    """
    title = joined(loaded.info.run or loaded.info.model, " on ", found.data)
    head = tag(
        "head",
        tag("meta", charset="utf-8"),
        tag("meta", http_equiv="Content-Security-Policy", content=_POLICY),
        tag("meta", name="viewport", content="width=device-width, initial-scale=1"),
        tag("title", title),
        tag("style", Markup(stylesheet())),
    )
    drawn = resample(found.answers) if found.answers is not None else None
    counted = f"{several(found.evaluation.n, 'image')}, {several(len(found.classes), 'class')}"
    measured = [
        headline(found, drawn),
        tag("h3", "What was measured"),
        what_was_measured(found, loaded, when),
    ]
    training = read_training(loaded)
    sections = [
        _section("The numbers", *measured),
        _section("Each class", *_classes(found)),
        _section("What is confused", *_confusion(found)),
        _section("What its probabilities are worth", *_calibration(found)),
        _section("What is left of it on spoilt images", *_spoilt(found)),
        _section("The most confident mistakes", *_mistakes(found)),
        _section("How it was trained", *(_training(training) if training else ())),
    ]
    lines = [tag("li", line) for line in (*in_short(found), *cautions(found))]
    body = tag(
        "main",
        tag("h1", name(loaded.info.run or loaded.info.model)),
        tag("p", "tested on ", name(found.data), f": {counted}", class_="lead"),
        tag("div", tag("ul", lines), class_="short"),
        *sections,
        _notes(found),
    )
    return f"{HEAD}{tag('html', head, tag('body', body), lang='en')}\n"


def _section(title: str, *pieces: Piece) -> Markup:
    kept = [piece for piece in pieces if piece]
    return tag("section", tag("h2", title), *kept) if kept else Markup()


def _say(text: str) -> Markup:
    return tag("p", text, class_="small")


def _classes(found: Judgement) -> list[Markup]:
    if not any(score.n for score in found.scores):
        return []
    return [
        _say(
            "Recall: of the images of a class, the share that is recognised. Precision: of what "
            "is taken for a class, the share that is it. F1: the harmonic mean of both. "
            "The least recognised first."
        ),
        class_table(found.scores),
    ]


def _confusion(found: Judgement) -> list[Markup]:
    confusion, pairs = found.evaluation.confusion, found.confused(PAIRS)
    if confusion is None or not found.evaluation.n:
        return []
    if not pairs:
        return [_say("No image of one class was taken for another.")]
    drawn = heat_map(found.scores, confusion)
    said = (
        "Rows are true classes, columns what they are taken for. The stronger the colour, the "
        "larger the share of the class."
    )
    wrong = int(confusion.sum() - confusion.diagonal().sum())
    many = f" (of more than {LIMIT} classes, no map is drawn)" if not drawn else ""
    shown = sum(pair.n for pair in pairs)
    listed = tag(
        "div",
        pair_table(pairs),
        _say(
            f"{shown:,} of {several(wrong, 'mistake')} in {several(len(pairs), 'pair')}{many}. "
            "Shares are of the images of the true class."
        ),
    )
    figure = tag("figure", tag("div", drawn, class_="wide"), tag("figcaption", said))
    return [tag("div", figure if drawn else None, listed, class_="charts")]


def _calibration(found: Judgement) -> list[Markup]:
    measured = found.calibration
    if measured is None:
        return []
    rows: list[tuple[Piece, ...]] = [
        ("mean probability of the predicted class", percent(measured.confidence)),
        ("share that is right", percent(measured.accuracy)),
        ("expected calibration error (ECE)", f"{measured.ece:.4f}"),
        ("the same by chance alone", f"{measured.chance:.4f}"),
    ]
    fitted = measured.temperature
    tail = ""
    if fitted is not None and fitted.value is not None:
        rows += [
            ("temperature that fits best", f"{fitted.value:.3f}"),
            ("ECE with it", f"{fitted.ece_after:.4f}"),
        ]
        tail = (
            f"The temperature is what outputs are divided by so that the true classes become "
            f"likeliest. It is fitted on {fitted.n:,} of these images, and the error with it is of "
            f"the same images, so it is optimistic."
        )
        if fitted.n < measured.n:
            tail += (
                f" Outputs are kept of so many only, evenly spread; without it, their error is "
                f"{fitted.ece:.4f}."
            )
    elif fitted is not None:
        tail = (
            "No temperature fits best: the outputs tell right from wrong too well, or not at all."
        )
    explained = (
        "Images are put into 15 ranges of the probability of their predicted class. A bar is the "
        "share of them that is right, the dot stands at their mean probability; on the dashed "
        "line, both are the same. ECE is the mean distance (Guo et al. 2017). With few images it "
        "is never 0: “by chance alone” is what true probabilities would show."
    )
    side = tag("div", table(["", "#"], rows), _say(tail) if tail else None)
    drawn = tag("figure", diagram(measured.bins), tag("figcaption", explained))
    return [tag("div", drawn, side, class_="charts")]


def _spoilt(found: Judgement) -> list[Markup]:
    measured = found.robustness
    if measured is None:
        return []
    said = (
        "The share that is recognised when the same images are noisy, out of focus, overexposed, "
        "pale, coarse or compressed hard (six corruptions of ImageNet-C, Hendrycks and Dietterich "
        f"2019, its severities 1, 3 and 5). On average {percent(measured.mean)}, as they are "
        f"{percent(measured.clean)}. Train with a stronger transform if it is to see such images."
    )
    return [_say(said), robustness_table(measured)]


def _mistakes(found: Judgement) -> list[Markup]:
    pictures = gallery(found)
    if not pictures:
        return []
    said = (
        "True class → predicted class. Look here for wrong labels, for classes that are hard to "
        "tell apart, and for images of a kind that training lacked."
    )
    return [_say(said), pictures]


def _training(training: Training) -> list[Markup]:
    epochs, best = training.epochs, training.best
    drawn = [
        _chart("loss", "loss", [e.train_loss for e in epochs], [e.val_loss for e in epochs], best),
        _chart("top-1", "%", [e.train_top1 for e in epochs], [e.val_top1 for e in epochs], best),
    ]
    facts: list[tuple[str, Piece]] = [
        ("epochs", f"{len(epochs)}, the best is {best}" if best else str(len(epochs))),
        ("freeze proof", training.proof),
        ("recipe", joined("digest ", tag("code", training.digest)) if training.digest else None),
    ]
    rows = [(tag("dt", key), tag("dd", value)) for key, value in facts if value]
    return [tag("div", drawn, class_="charts"), tag("dl", rows)] if epochs else [tag("dl", rows)]


def _chart(
    title: str, unit: str, train: list[float | None], val: list[float | None], best: int | None
) -> Markup:
    drawn = curves(
        f"{title} by epoch",
        [Curve("validation", val, "mark"), Curve("training", train, "other")],
        best=best,
        say=(lambda share: f"{100 * share:.4g} %") if unit == "%" else "{:.4g}".format,
    )
    return tag("figure", tag("figcaption", title), drawn) if drawn else Markup()


def _notes(found: Judgement) -> Markup:
    if not found.notes:
        return Markup()
    return _section("Notes", tag("ul", [tag("li", note) for note in found.notes], class_="small"))
