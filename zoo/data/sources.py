"""From ``--data`` to image sets: folders, tables, named data sets, or the generated demo set.

Nothing here imports torch; pixels are decoded when an image is loaded. (Named data sets that
torchvision reads import it when they are opened.)
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zoo.core.recipe import MAX_PIXELS
from zoo.core.specs import DatasetSpec
from zoo.data import folders, guard, labels, named
from zoo.data.apart import set_apart
from zoo.data.images import ImageSet, Splits
from zoo.data.places import DEFAULT_FOLDER, check_paths, locate
from zoo.data.roles import pick
from zoo.data.scan import Tree, file_at, holds_class_folders, images_below, quote
from zoo.data.shrink import shrunk_splits
from zoo.data.stated import fingerprint, notes_of
from zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zoo.core.recipe import DataPart
    from zoo.core.registry import Registry

    Progress = Callable[[int], None]

DEFAULT_CLASSES: Final = 10


@dataclass(frozen=True, slots=True)
class Opened:
    """One set of images, opened to be judged or predicted.

    Attributes:
        images: The images.
        fingerprint: Digest of the content, 32 hex digits.
        notes: Facts worth a line.
    """

    images: ImageSet
    fingerprint: str
    notes: tuple[str, ...] = ()


def open_data(
    data: DataPart,
    *,
    registry: Registry,
    classes: int | None = None,
    channels: int = 3,
    seed: int = 0,
    progress: Progress | None = None,
    asked: str = labels.ASKED,
) -> Splits:
    """Open the training and validation images that a recipe names.

    Args:
        data: The recipe's data part.
        registry: Where named data sets are found.
        classes: Number of classes asked for; ``None`` = whatever the data has.
        channels: Channels that the model wants.
        seed: Seed of the split where the data has none.
        progress: Called with the number of files checked so far.
        asked: How the number of classes was asked for, up to the number.

    Returns:
        Both splits, checked, of the same classes.

    Raises:
        DataError: The images, folders, labels or splits are wrong; unusable files are listed
            all at once.
        UsageError: An option of a named data set is wrong.
    """
    if data.source is None:
        opened = _default(data, registry, classes, channels, seed, progress, asked)
        return shrunk_splits(opened, data.shrink)
    name, path = locate(data.source, registry)
    if not name:
        opened = _files(data, path, classes, channels, seed, progress, asked)
        return shrunk_splits(opened, data.shrink)
    opened = named.open_named(
        data,
        name,
        registry=registry,
        classes=classes,
        channels=channels,
        seed=seed,
        asked=asked,
    )
    if Path(data.source).is_dir():
        shadow = f"a folder {data.source} is here too: ./{data.source} means the folder"
        opened = replace(opened, notes=(*opened.notes, shadow))
    return shrunk_splits(opened, data.shrink)


def _default(
    data: DataPart,
    registry: Registry,
    classes: int | None,
    channels: int,
    seed: int,
    progress: Progress | None,
    asked: str,
) -> Splits:
    """``./data`` if it looks like an image folder, else the generated demo set."""
    folder = Path(DEFAULT_FOLDER)
    if holds_class_folders(folder):
        splits = _files(data, folder, classes, channels, seed, progress, asked)
        return replace(
            splits, notes=("no --data: using ./data", *splits.notes), source=f"./{DEFAULT_FOLDER}"
        )
    wanted = classes or int(data.options.get("classes", DEFAULT_CLASSES))
    splits = named.open_named(
        data, "demo", registry=registry, classes=wanted, channels=channels, seed=seed
    )
    why = "./data holds no class folders with images" if folder.exists() else "no ./data here"
    note = (
        f"no --data, and {why}: generated demo images of {wanted} classes "
        "(--data FOLDER for your own)"
    )
    return replace(splits, notes=(note, *splits.notes), source="demo")


def _files(
    data: DataPart,
    path: Path,
    classes: int | None,
    channels: int,
    seed: int,
    progress: Progress | None,
    asked: str,
) -> Splits:
    trees, facts = folders.gather(data, path)
    larger = "--set data.max_pixels=N"
    findings = folders.checked(trees, data, facts, progress, larger=larger)
    for role, tree in trees.items():
        folders.drop_empty(tree, role, data)
    order = tuple(trees["train"].classes)
    labels.expect(order, classes, quote(str(path)), asked)
    for role, tree in trees.items():
        if role != "train":
            folders.compare(order, tree, role, data)
    digest = guard.fingerprint(trees, findings)
    sets = {
        role: folders.image_set(tree, f"{path.name}/{role}", order, findings, channels, data)
        for role, tree in trees.items()
    }
    warnings = folders.suspicions(trees, findings, order)
    if "val" not in sets:
        whole = sets["train"]
        twins = [(file.size, findings[file.path].crc) for file in trees["train"].files()]
        groups = [trees["train"].groups.get(key, "") for key in whole.keys]
        parts = set_apart(
            data, order, whole.labels, whole.keys, seed=seed, twins=twins, groups=groups
        )
        sets["train"] = whole.subset(parts.kept)
        sets["val"] = whole.subset(parts.held, f"{path.name}/val")
        by = f": {parts.fold}" if parts.fold else f", seed {seed}"
        facts.append(f"held out {len(parts.held)} of {len(whole)} images for validation{by}")
        facts += parts.notes
    facts += folders.facts_of(sets, order)
    return Splits(
        name=path.name or str(path),
        train=sets["train"],
        val=sets["val"],
        classes=order,
        fingerprint=digest,
        notes=(*facts, *guard.notes(findings.values())),
        warnings=tuple(warnings),
        test=sets.get("test"),
    )


def open_for_evaluation(
    data: DataPart,
    *,
    registry: Registry,
    classes: Sequence[str],
    channels: int = 3,
    split: str = "val",
) -> Opened:
    """Open labelled images to judge a model by, labelled in the model's order of classes.

    A folder of class folders is taken whole; of a folder with splits, or a named data set, one
    split is taken.

    Args:
        data: Which images; ``data.source`` must be given.
        registry: Where named data sets are found.
        classes: The model's class names.
        channels: Channels that the model wants.
        split: ``val``, ``test`` or ``train``.

    Raises:
        DataError: No such images or split, unusable files, or classes unknown to the model.
    """
    if data.source is None:
        raise DataError("which images?", hint="--data FOLDER, or the name of a data set")
    name, path = locate(data.source, registry)
    if name:
        spec = registry.find("dataset", name)
        assert isinstance(spec, DatasetSpec)
        options = dict(data.options)
        if "classes" in spec.options:
            options.setdefault("classes", len(classes))
        splits = named.splits_of(spec, data, registry=registry, options=options)
        chosen = pick(splits, split)
        if chosen is None:
            raise DataError(f"{name} has no split {split!r}", hint=f"it has {', '.join(splits)}")
        images = named.open_split(
            spec, chosen, data, registry=registry, channels=channels, options=options
        )
        digest, _ = fingerprint(spec, {chosen: images}, options)
        facts = [f"split {chosen} of {name}", *notes_of(images)]
        return Opened(labels.align(images, classes), digest, tuple(facts))
    trees, facts = folders.gather(data, path)
    role = split if split in trees else "train"
    if len(trees) > 1 and split not in trees:
        raise DataError(f"{quote(str(path))} has no split {split!r}", hint=f"it has {list(trees)}")
    chosen_trees = {role: trees[role]}
    findings = folders.checked(chosen_trees, data, facts, None)
    tree = chosen_trees[role]
    folders.drop_empty(tree, role, replace(data, allow_empty=True))
    images = folders.image_set(tree, path.name, tuple(tree.classes), findings, channels, data)
    digest = guard.fingerprint({"": tree}, findings)
    return Opened(labels.align(images, classes), digest, (*facts, *guard.notes(findings.values())))


def open_images(
    paths: Sequence[str | Path],
    *,
    channels: int = 3,
    on_bad_image: str = "error",
    max_pixels: int = MAX_PIXELS,
) -> Opened:
    """Open images without labels, to predict.

    Args:
        paths: Files and folders (all images below them).
        channels: Channels that the model wants.
        on_bad_image: ``error`` or ``skip``.
        max_pixels: Files with more pixels are refused.

    Returns:
        The images, in the order given; keys are paths, labels are -1.

    Raises:
        DataError: Nothing there, or unusable files.
    """
    from zoo.core.recipe import DataPart

    data = DataPart(
        on_bad_image="skip" if on_bad_image == "skip" else "error", max_pixels=max_pixels
    )
    check_paths(paths)
    tree = Tree(Path.cwd(), {"": []})
    for given in map(Path, paths):
        if given.is_dir():
            below = images_below(given)
            tree.ignored += below.ignored
            tree.broken |= {f"{given}/{key}": reason for key, reason in below.broken.items()}
            tree.classes[""] += [replace(f, key=f"{given}/{f.key}") for f in below.files()]
        else:
            tree.classes[""].append(file_at(given, str(given)))
    facts: list[str] = []
    findings = folders.checked({"images": tree}, data, facts, None)
    if not tree.classes[""]:
        raise DataError("no images in " + labels.listed(map(quote, map(str, paths)), 3))
    images = replace(
        folders.image_set(tree, "images", ("",), findings, channels, data),
        classes=(),
        labels=[-1] * len(tree),
    )
    notes = (*facts, *guard.notes(findings.values()))
    return Opened(images, guard.fingerprint({"": tree}, findings), notes)
