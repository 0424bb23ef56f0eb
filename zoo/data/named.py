"""Data sets by name: what ``target(root=, split=, ...)`` gives, wrapped into image sets.

A data set is map-style and gives ``(image, label)``. What else it may have, so that nothing must
be decoded to plan a run: ``labels`` (or ``targets``), ``classes`` (names), ``keys`` (a name for
each image), ``images`` (all pixels as one uint8 array), ``fingerprint`` (a string), ``notes``
(facts worth a line). With ``encoded(index)`` it gives image files as they are, to be checked and
decoded like any file.
"""

from __future__ import annotations

import contextlib
import sys
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from zoo.core import settings
from zoo.core.specs import DatasetSpec
from zoo.data.apart import set_apart
from zoo.data.images import ImageSet, ItemReader, Splits
from zoo.data.labels import ASKED, check_range, compare, expect, listed
from zoo.data.roles import choose
from zoo.data.stated import Numbered, classes_of, fingerprint, labels_of, notes_of
from zoo.errors import DataError, PluginError, UsageError, ZooError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo.core.recipe import DataPart
    from zoo.core.registry import Registry

_GIVEN: Final = {
    "root": "--data-root",
    "split": "--val",
    "transform": "--transform",
    "download": "--download",
}
"""What zoo itself gives to a data set -> the flag that says it."""


class UnlabelledError(DataError):
    """No image of a split has a label: they are kept back, as those of contests are (exit 3)."""


def open_named(
    data: DataPart,
    name: str,
    *,
    registry: Registry,
    classes: int | None,
    channels: int,
    seed: int,
    asked: str = ASKED,
) -> Splits:
    """Open a data set of the registry.

    Its ``val`` split validates, else its ``test`` split (said in a note), else a share of
    ``train`` is held out. With a fold, that of ``train`` is, and ``test`` is left alone.

    Args:
        data: How to read it; ``data.options`` go to the data set.
        name: Its name in the registry.
        registry: Where it is found.
        classes: Number of classes asked for; passed on if the data set has such an option.
        channels: Channels of an image.
        seed: Seed of the split where there is none.
        asked: How the number of classes was asked for, up to the number.

    Raises:
        UnknownNameError: No such data set.
        DataError: Files are missing, labels are out of range, the classes do not match.
    """
    spec = registry.find("dataset", name)
    assert isinstance(spec, DatasetSpec)
    options = dict(data.options)
    if classes is not None and "classes" in spec.options:
        options.setdefault("classes", classes)
    splits = choose(spec, data, splits_of(spec, data, registry=registry, options=options))
    opened: dict[str, ImageSet] = {}
    notes: list[str] = []
    for role, split in splits.items():
        try:
            images = open_split(
                spec, split, data, registry=registry, channels=channels, options=options
            )
        except UnlabelledError:
            if split != "test" or split == data.val:
                raise
            notes.append(f"{split} is left alone: none of its images has a label")
            continue
        if role == "train":
            expect(images.classes, classes, spec.qualified, asked)
        opened[role] = images if role == "train" else _same(opened["train"], images, split, data)
    train = opened["train"]
    notes = [*notes_of(train), *notes]
    digest, whole = fingerprint(spec, opened, options)
    if "val" in opened:
        val = opened["val"]
        if splits["val"] == "test":
            notes.append("validated on the test split: it has no other")
        if missing := [name for name, count in val.counts().items() if not count]:
            notes.append(f"classes without validation images: {listed(missing, 5)}")
    else:
        parts = set_apart(data, train.classes, train.labels, train.keys, seed=seed)
        val, train = train.subset(parts.held, f"{spec.name}/val"), train.subset(parts.kept)
        which = f": {parts.fold}" if parts.fold else ""
        notes += [f"{len(val)} images of {splits['train']} held out for validation{which}"]
        notes += parts.notes
    return Splits(
        name=spec.qualified,
        train=train,
        val=val,
        classes=train.classes,
        fingerprint=digest,
        sampled=not whole,
        notes=tuple(notes),
        test=opened.get("test"),
    )


def splits_of(
    spec: DatasetSpec, data: DataPart, *, registry: Registry, options: dict[str, Any]
) -> tuple[str, ...]:
    """The names of a data set's splits, training first: its entry's, else what its target says.

    Args:
        spec: Its entry.
        data: Where its files lie, and whether they may be downloaded.
        registry: Where it is found.
        options: Its own options.

    Raises:
        DataError: Files are missing, or there is no split at all.
        PluginError: Neither the entry nor the target names any.
        UsageError: An option is one that zoo gives itself, or that the data set does not take.
    """
    if spec.splits:
        return spec.splits
    with _opening(spec, data, options) as given:
        found = registry.ask("dataset", spec.qualified, "splits", **given, **options)
    names = tuple(found)
    if not names or not all(isinstance(name, str) for name in names):
        raise PluginError(
            f"dataset {spec.qualified}: splits() gives {found!r}, not the names of splits",
            hint="it gives at least one name, training first",
        )
    return names


def _same(train: ImageSet, images: ImageSet, split: str, data: DataPart) -> ImageSet:
    """Images with the training images' classes, in their order; labels are matched by name."""
    absent = [name for name in train.classes if name not in images.classes]
    names = [*images.classes, *(absent if data.allow_empty else ())]
    compare(train.classes, names, split, empty_allowed=data.allow_empty)
    if images.classes == train.classes:
        return images
    place = {name: label for label, name in enumerate(train.classes)}
    labels = [place[images.classes[label]] for label in images.labels]
    return replace(images, classes=train.classes, labels=labels)


@contextlib.contextmanager
def _opening(
    spec: DatasetSpec, data: DataPart, options: dict[str, Any]
) -> Iterator[dict[str, Any]]:
    """What every target is given; what it raises is said in zoo's way."""
    for key in sorted(options.keys() & _GIVEN.keys()):
        raise UsageError(
            f"data set {spec.qualified}: {key} is not an option of its own; {_GIVEN[key]} says it",
            hint=f"leave --data-option {key} out",
        )
    root = data.root or str(settings.cache_dir() / "datasets")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            yield {"root": root, "download": data.download}
    except ZooError:
        raise
    except (OSError, RuntimeError) as error:
        can = spec.download == "auto" and not data.download
        hint = "add --download" if can else f"put its files into {root} (--data-root)"
        reason = str(error).partition("\n")[0]
        raise DataError(f"data set {spec.qualified}: {reason}", hint=hint) from error


def open_split(
    spec: DatasetSpec,
    split: str,
    data: DataPart,
    *,
    registry: Registry,
    channels: int,
    options: dict[str, Any],
) -> ImageSet:
    """Open one split of a named data set.

    Args:
        spec: Its entry.
        split: The data set's own name of the split.
        data: Where its files lie, and whether they may be downloaded.
        registry: Where it is found.
        channels: Channels of an image.
        options: Its own options.

    Raises:
        DataError: Files are missing or labels are out of range.
        UnlabelledError: None of its images has a label.
        UsageError: An option is one that zoo gives itself, or that the data set does not take.
    """
    with _opening(spec, data, options) as given:
        dataset = registry.build(
            "dataset", spec.qualified, split=split, transform=None, **given, **options
        )
    where = f"{spec.name}/{split}"
    labels = labels_of(dataset, where)
    if set(labels) == {-1}:
        raise UnlabelledError(
            f"{where}: none of its {len(labels)} images has a label: they are kept back (-1)",
            hint="take another split; zoo predict shows what a model makes of such images",
        )
    names = classes_of(dataset, spec, labels)
    check_range(labels, len(names), where)
    keys = getattr(dataset, "keys", None)
    return ImageSet(
        name=where,
        classes=names,
        labels=labels,
        keys=keys if isinstance(keys, list | tuple) else Numbered(where, len(labels)),
        reader=ItemReader(dataset, channels, data.max_pixels),
        on_bad=data.on_bad_image,
    )
