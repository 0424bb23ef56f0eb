"""Data sets by name: what ``target(root=, split=, ...)`` gives, wrapped into image sets.

A data set is map-style and gives ``(image, label)``. What else it may have, so that nothing must
be decoded to plan a run: ``labels`` (or ``targets``), ``classes`` (names), ``keys`` (a name for
each image), ``images`` (all pixels as one uint8 array), ``fingerprint`` (a string).
"""

from __future__ import annotations

import contextlib
import hashlib
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, overload

from zoo.core import settings
from zoo.core.specs import DatasetSpec
from zoo.data.apart import refuse_fold, set_apart
from zoo.data.images import ImageSet, ItemReader, Splits
from zoo.data.labels import ASKED, check_range, compare, expect
from zoo.errors import DataError, UsageError, ZooError

if TYPE_CHECKING:
    from zoo.core.recipe import DataPart
    from zoo.core.registry import Registry

_VALIDATION: Final = ("val", "valid", "validation", "test")
_SAMPLES: Final = 16
_FOLDABLE: Final = "leave --fold out, or fold images of your own: --data FOLDER"
_GIVEN: Final = {
    "root": "--data-root",
    "split": "--val",
    "transform": "--transform",
    "download": "--download",
}
"""What zoo itself gives to a data set -> the flag that says it."""


class Numbered(Sequence[str]):
    """Names ``prefix/0`` to ``prefix/N-1``, made when asked for.

    Args:
        prefix: What comes before the number.
        count: How many there are.
    """

    def __init__(self, prefix: str, count: int) -> None:
        self._prefix, self._count = prefix, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Give one name or several."""
        places = range(self._count)[index]
        if isinstance(places, range):
            return [f"{self._prefix}/{place}" for place in places]
        return f"{self._prefix}/{places}"


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
    splits = choose(spec, data)
    options = dict(data.options)
    if classes is not None and "classes" in spec.options:
        options.setdefault("classes", classes)
    opened = {
        role: open_split(spec, split, data, registry=registry, channels=channels, options=options)
        for role, split in splits.items()
    }
    train, notes = opened["train"], []
    expect(train.classes, classes, spec.qualified, asked)
    for role, images in opened.items():
        if role != "train":
            compare(train.classes, images.classes, splits[role])
    digest, whole = fingerprint(spec, opened, options)
    if "val" in opened:
        val = opened["val"]
        if splits["val"] == "test":
            notes.append("validated on the test split: it has no other")
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


def choose(spec: DatasetSpec, data: DataPart) -> dict[str, str]:
    """Role -> the data set's own name of the split.

    Raises:
        DataError: It has no such split.
        UsageError: A fold was asked for, and it has validation images.
    """
    chosen, wanted = {"train": spec.splits[0]}, data.val
    if wanted is not None:
        if wanted not in spec.splits:
            raise DataError(
                f"data set {spec.qualified} has no split {wanted!r}",
                hint=f"it has {', '.join(spec.splits)}",
            )
        chosen["val"] = wanted
    elif found := [name for name in _VALIDATION if name in spec.splits[1:]]:
        chosen["val"] = found[0]
    if data.fold is not None and chosen.get("val") == "test" and wanted is None:
        del chosen["val"]
    if "val" in chosen:
        refuse_fold(data, f"{spec.qualified} has a split {chosen['val']}", _FOLDABLE)
    if "test" in spec.splits and "test" not in chosen.values():
        chosen["test"] = "test"
    return chosen


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
        UsageError: An option is one that zoo gives itself, or that the data set does not take.
    """
    for key in sorted(options.keys() & _GIVEN.keys()):
        raise UsageError(
            f"data set {spec.qualified}: {key} is not an option of its own; {_GIVEN[key]} says it",
            hint=f"leave --data-option {key} out",
        )
    root = data.root or str(settings.cache_dir() / "datasets")
    try:
        with contextlib.redirect_stdout(sys.stderr):
            dataset = registry.build(
                "dataset",
                spec.qualified,
                root=root,
                split=split,
                transform=None,
                download=data.download,
                **options,
            )
    except ZooError:
        raise
    except (OSError, RuntimeError) as error:
        can = spec.download == "auto" and not data.download
        hint = "add --download" if can else f"put its files into {root} (--data-root)"
        reason = str(error).partition("\n")[0]
        raise DataError(f"data set {spec.qualified}: {reason}", hint=hint) from error
    where = f"{spec.name}/{split}"
    labels = labels_of(dataset, where)
    names = _classes_of(dataset, spec, labels)
    check_range(labels, len(names), where)
    keys = getattr(dataset, "keys", None)
    return ImageSet(
        name=where,
        classes=names,
        labels=labels,
        keys=keys if isinstance(keys, list | tuple) else Numbered(where, len(labels)),
        reader=ItemReader(dataset, channels),
        on_bad=data.on_bad_image,
    )


def labels_of(dataset: Any, where: str) -> list[int]:
    """All labels of a data set; decodes every image only if it offers no list of them.

    Raises:
        DataError: Not one whole number per image.
    """
    for name in ("labels", "targets"):
        values = getattr(dataset, name, None)
        if values is not None and not callable(values):
            found = values.tolist() if hasattr(values, "tolist") else list(values)
            break
    else:
        found = [dataset[index][1] for index in range(len(dataset))]
    try:
        labels = [int(value) for value in found]
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: labels must be whole numbers: {error}") from error
    if len(labels) != len(dataset):
        raise DataError(f"{where}: {len(labels)} labels for {len(dataset)} images")
    if not labels:
        raise DataError(f"{where}: no images")
    return labels


def _classes_of(dataset: Any, spec: DatasetSpec, labels: list[int]) -> tuple[str, ...]:
    names = getattr(dataset, "classes", None)
    if names:
        return tuple(n if isinstance(n, str) else ", ".join(map(str, n)) for n in names)
    return tuple(str(label) for label in range(spec.classes or max(labels) + 1))


def fingerprint(
    spec: DatasetSpec, opened: dict[str, ImageSet], options: dict[str, Any]
) -> tuple[str, bool]:
    """A digest of a named data set: its own statement, its pixels, or a sample of them.

    Args:
        spec: Its entry.
        opened: Its splits.
        options: Its own options.

    Returns:
        32 hex digits, and whether they would be others if any image were.
    """
    whole = True
    digest = hashlib.blake2b(
        f"{spec.qualified}\0{sorted(options.items())}".encode(), digest_size=16
    )
    for role, images in opened.items():
        digest.update(f"\0{role}\0{len(images)}\0{images.classes}\0{list(images.labels)}".encode())
        reader = images.reader
        stated = getattr(getattr(reader, "dataset", None), "fingerprint", None)
        if isinstance(stated, str):
            digest.update(stated.encode())
            continue
        pixels = images.whole()
        if pixels is not None:
            digest.update(pixels.numpy().tobytes())
            continue
        step = max(1, len(images) // _SAMPLES)
        whole &= step == 1
        for index in range(0, len(images), step):
            digest.update(images.load(index).contiguous().numpy().tobytes())
    return digest.hexdigest(), whole
