"""The most confident mistakes, with small pictures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import torch

from zoo.engine.judging.classwise import class_names
from zoo.report.markup import Markup, joined, name, tag
from zoo.report.thumbnails import thumbnail
from zoo.report.words import percent

if TYPE_CHECKING:
    from zoo.data.images import ImageSet
    from zoo.engine.judging.answers import Answers
    from zoo.engine.judging.judgement import Judgement

COUNT: Final = 24


def most_confident(answers: Answers, count: int = COUNT) -> list[int]:
    """Rows of the images that were mistaken, the surest mistake first.

    Args:
        answers: Of all images.
        count: How many, at most.
    """
    wrong = (~answers.right & answers.confidence.isfinite()).nonzero()[:, 0]
    order = torch.argsort(answers.confidence[wrong], descending=True, stable=True)
    return [int(row) for row in wrong[order[:count]]]


def gallery(found: Judgement) -> Markup:
    """Pictures with what they are, what they were taken for, and how surely; empty without any."""
    if found.answers is None or found.images is None:
        return Markup()
    rows = most_confident(found.answers)
    names = class_names(found.classes, found.answers.classes)
    entries = [_entry(found.answers, found.images, names, row) for row in rows]
    return tag("ul", entries, class_="gallery") if entries else Markup()


def _entry(answers: Answers, images: ImageSet, names: tuple[str, ...], row: int) -> Markup:
    index, label, guess = (
        int(column[row]) for column in (answers.indices, answers.labels, answers.predicted)
    )
    file = _file(str(images.keys[index]))
    small = thumbnail(images, index)
    if small is None:
        picture = tag("div", "no picture", class_="none")
    else:
        style = "tiny" if small.tiny else None
        picture = tag("img", src=small.source, alt=file, class_=style)
    place, true = int(answers.ranks[row]) + 1, percent(float((-answers.losses[row]).exp()))
    return tag(
        "li",
        picture,
        joined(name(names[label], 40), " → ", tag("strong", name(names[guess], 40))),
        tag("br"),
        f"{percent(float(answers.confidence[row]))} sure",
        tag("br"),
        f"true class: place {place}, {true}",
        tag("div", _by_parts(file), class_="file", title=file),
    )


def _by_parts(file: str) -> Markup:
    """A path whose folders keep their order, whatever the direction of their writing."""
    return joined(
        *(joined("/" if at else None, tag("bdi", part)) for at, part in enumerate(file.split("/")))
    )


def _file(key: str) -> str:
    """The name of a file inside its set; of one that lies elsewhere, its last parts."""
    from pathlib import PurePath

    path = PurePath(key)
    return "/".join(path.parts[-2:]) if path.is_absolute() else key
