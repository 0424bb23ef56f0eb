"""Class names and labels: compared by name, never by position."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zoo.data.images import ImageSet

ASKED: Final = "--classes "
"""How a number of classes is asked for, up to the number."""
_SHOWN: Final = 10
_KNOWN: Final = 30
_SYNSET: Final = re.compile(r"n\d{8}\Z")


def listed(names: Iterable[str], limit: int = _SHOWN) -> str:
    """Names for a message, the first few and how many more."""
    every = [name if name.isprintable() else repr(name) for name in names]
    shown = ", ".join(every[:limit])
    return shown if len(every) <= limit else f"{shown} and {len(every) - limit} more"


def compare(
    train: Sequence[str], other: Sequence[str], where: str, *, empty_allowed: bool = False
) -> None:
    """Check that two splits have the same classes.

    Args:
        train: Class names of the training images.
        other: Class names of the other split.
        where: What the other split is called.
        empty_allowed: Classes without images are allowed already.

    Raises:
        DataError: They differ; names both differences.
    """
    missing = sorted(set(train) - set(other))
    extra = sorted(set(other) - set(train))
    if not missing and not extra:
        return
    parts = [f"only in train: {listed(missing)}"] if missing else []
    parts += [f"only in {where}: {listed(extra)}"] if extra else []
    or_empty = "" if empty_allowed else " (or --allow-empty, where one has no images)"
    raise DataError(
        f"train has {len(train)} classes, {where} has {len(other)}, and they differ; "
        + "; ".join(parts),
        hint=f"give both the same classes{or_empty}",
    )


def expect(classes: Sequence[str], wanted: int | None, where: str, asked: str = ASKED) -> None:
    """Check the number of classes that was asked for.

    Args:
        classes: Class names that were found.
        wanted: Number asked for; ``None`` = whatever there is.
        where: What the data is called.
        asked: How it was asked for, up to the number.

    Raises:
        DataError: They differ; says both numbers.
    """
    if wanted is not None and wanted != len(classes):
        raise DataError(
            f"{asked}{wanted}, but {where} has {len(classes)} ({listed(classes, 5)})",
            hint=f"{asked}{len(classes)}, or leave it out",
        )


def case_twins(names: Iterable[str]) -> list[str]:
    """Warnings about names that differ in case or outer spaces only."""
    groups: dict[str, list[str]] = defaultdict(list)
    for name in names:
        groups[name.casefold().strip()].append(name)
    return [
        f"classes {' and '.join(repr(n) for n in group)} differ in case or spaces only"
        for group in groups.values()
        if len(group) > 1
    ]


def check_range(labels: Sequence[int], classes: int, where: str) -> None:
    """Check that every label is one of ``0 .. classes - 1``.

    Args:
        labels: Labels.
        classes: Number of classes.
        where: What the data is called.

    Raises:
        DataError: Some are not; -100 is named, since torch would silently ignore it.
    """
    wrong = Counter(label for label in labels if not 0 <= label < classes)
    if not wrong:
        return
    shown = ", ".join(f"{label} ({count} times)" for label, count in wrong.most_common(5))
    ignored = "; torch's losses would ignore -100 without a word" if -100 in wrong else ""
    raise DataError(
        f"{where}: labels outside of 0..{classes - 1}: {shown}{ignored}",
        hint="correct the labels, or state the number of classes",
    )


def _all_of(classes: Sequence[str]) -> str:
    """Where the rest of a long list of classes stands."""
    if len(classes) <= _KNOWN:
        return ""
    return f"; zoo predict MODEL IMAGE --top {len(classes)} names them all"


def align(images: ImageSet, classes: Sequence[str]) -> ImageSet:
    """Relabel images by class name to another order of classes, such as a checkpoint's.

    Folders that are named after the 1,000 ImageNet synsets (``n01440764``) have the order of
    ImageNet-1k's labels, which is theirs sorted.

    Args:
        images: Labelled images.
        classes: The order to use; may have classes that ``images`` has not.

    Raises:
        DataError: A class with images is unknown to ``classes``.
    """
    if tuple(images.classes) == tuple(classes):
        return images
    synsets = len(classes) == len(images.classes) == 1000 and all(
        map(_SYNSET.match, images.classes)
    )
    order = sorted(images.classes) if synsets else classes
    place = {name: label for label, name in enumerate(order)}
    used = {images.classes[label] for label in set(images.labels) if label >= 0}
    unknown = sorted(used - set(place))
    if unknown:
        knows = f"it knows {listed(classes, _KNOWN)}{_all_of(classes)}"
        raise DataError(
            f"{images.name}: classes that the model does not know: {listed(unknown)}",
            hint=knows if classes else "its file does not say what its classes are called",
        )
    table = [place.get(name, -1) for name in images.classes]
    labels = [table[label] if label >= 0 else label for label in images.labels]
    return replace(images, classes=tuple(classes), labels=labels)
