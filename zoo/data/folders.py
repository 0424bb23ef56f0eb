"""Files of a folder or a table: gathered, checked, made into image sets. No torch."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zoo.core import names
from zoo.data import guard, labels
from zoo.data.apart import refuse_fold
from zoo.data.groups import COLUMN
from zoo.data.headers import OVER
from zoo.data.images import FileReader, ImageSet
from zoo.data.scan import (
    File,
    Tree,
    check_folder,
    find_layout,
    names_a_split,
    quote,
    scan,
)
from zoo.data.tables import read_table
from zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from zoo.core.recipe import DataPart

    Progress = Callable[[int], None]

TABLES: Final = (".csv", ".tsv")
_SKIP: Final = "remove or repair them, or --on-bad-image skip"


def gather(data: DataPart, path: Path) -> tuple[dict[str, Tree], list[str]]:
    """Role -> files, and what is worth saying about how they were found."""
    facts: list[str] = []
    if path.suffix.lower() in TABLES and path.is_file():
        trees = read_table(path)
    else:
        layout = find_layout(path)
        facts += layout.notes
        trees = {"train": scan(layout.train)}
        if layout.val is not None and data.val is None:
            trees["val"] = scan(layout.val)
        if layout.test is not None:
            trees["test"] = scan(layout.test)
    if data.val is not None:
        trees["val"] = _validation(Path(data.val).expanduser())
    if "val" in trees:
        _no_folds(data, path)
    for role, tree in trees.items():
        if tree.ignored:
            what = ", ".join(f"{name} ({count})" for name, count in tree.ignored.most_common())
            facts.append(f"passed over in {role}: {what}")
    return trees, facts


def check_fold(data: DataPart, path: Path) -> None:
    """Refuse a fold of a folder that has validation images, before anything in it is looked at.

    Raises:
        UsageError: A fold was asked for.
    """
    if find_layout(path).val is not None:
        _no_folds(data, path)


def _no_folds(data: DataPart, path: Path) -> None:
    """Refuse a fold, if one was asked for, and say how it can be had."""
    if data.fold is None:
        return
    hint = "leave --fold out, or the column split out of the table, to fold all images"
    if not path.is_file():
        alone = find_layout(path).train
        hint = f"leave --fold out, or fold the training images alone: --data {alone}"
    refuse_fold(data, f"{quote(str(path))} has its own", hint)


def _validation(path: Path) -> Tree:
    if path.suffix.lower() in TABLES and path.is_file():
        trees = read_table(path)
        return trees.get("val") or trees["train"]
    check_folder(path, "--val")
    layout = find_layout(path)
    return scan(layout.val or layout.train)


def checked(
    trees: Mapping[str, Tree],
    data: DataPart,
    facts: list[str],
    progress: Progress | None,
    *,
    larger: str = "",
) -> dict[str, guard.Finding]:
    """Check every file; unusable ones are refused all at once, or dropped.

    Args:
        trees: Role -> files.
        data: What is done about unusable files.
        facts: Receives what was left out.
        progress: Called with the number of files done.
        larger: How the limit of pixels is raised, where it can be.

    Raises:
        DataError: Unusable files, and they are not to be left out.
    """
    findings: dict[str, guard.Finding] = {}
    bad: dict[str, str] = {}
    total = 0
    for role, tree in trees.items():
        before = total
        total += len(tree) + len(tree.broken)
        prefix = f"{role}/" if len(trees) > 1 else ""
        report = (lambda done, before=before: progress(before + done)) if progress else None
        found = guard.check(tree.files(), tree.root, max_pixels=data.max_pixels, progress=report)
        findings |= found
        bad |= {prefix + key: reason for key, reason in tree.broken.items()}
        for name, files in tree.classes.items():
            bad |= {prefix + f.key: found[f.path].reason for f in files if not found[f.path].header}
            tree.classes[name] = [f for f in files if found[f.path].header]
    if bad and data.on_bad_image == "error":
        raise guard.refuse(bad, total, _SKIP + (allowing(bad.values(), larger) if larger else ""))
    if bad:
        facts.append(f"left out {len(bad)} of {total} files: {labels.listed(map(quote, bad), 5)}")
    return findings


def allowing(reasons: Iterable[str], how: str) -> str:
    """The end of a hint: how larger images are allowed, if some were too large; else ``""``."""
    return f"; {how} allows larger ones" if any(OVER in r for r in reasons) else ""


def drop_empty(tree: Tree, role: str, data: DataPart) -> None:
    """Refuse a split without images, and classes without images unless they are allowed.

    Raises:
        DataError: Names the empty classes.
    """
    empty = [name for name, files in tree.classes.items() if not files]
    if len(empty) == len(tree.classes):
        raise DataError(
            f"no usable images in {quote(str(tree.root))}", hint="zoo doctor FOLDER says why"
        )
    if empty and not data.allow_empty:
        raise DataError(
            f"{role}: no images in {len(empty)} of {len(tree.classes)} classes: "
            f"{labels.listed(map(quote, empty))}",
            hint="remove these folders, or --allow-empty",
        )


def compare(order: Sequence[str], tree: Tree, role: str, data: DataPart) -> None:
    """Check that a split has the classes of the training images.

    Raises:
        DataError: It has not; with ``allow_empty`` it may lack some.
    """
    found = [name for name in order if name in tree.classes or data.allow_empty]
    every = [*found, *(set(tree.classes) - set(order))]
    labels.compare(order, every, role, empty_allowed=data.allow_empty)


def image_set(
    tree: Tree,
    name: str,
    order: Sequence[str],
    findings: Mapping[str, guard.Finding],
    channels: int,
    data: DataPart,
) -> ImageSet:
    """Make the image set of one split.

    Args:
        tree: Its files, all usable.
        name: What it is called in messages.
        order: All class names in the order of the labels.
        findings: What is known of each path.
        channels: Channels to decode to.
        data: Says what happens to images that turn out bad.
    """
    place = {known: label for label, known in enumerate(order)}
    files = list(tree.files())
    sizes = []
    for file in files:
        header = findings[file.path].header
        assert header is not None
        sizes.append((header.height, header.width))
    return ImageSet(
        name=name,
        classes=tuple(order),
        labels=[place[known] for known, members in tree.classes.items() for _ in members],
        keys=[file.key for file in files],
        reader=FileReader(tuple(file.path for file in files), channels, data.max_pixels),
        sizes=sizes,
        on_bad=data.on_bad_image,
    )


def suspicions(
    trees: Mapping[str, Tree], findings: Mapping[str, guard.Finding], order: Sequence[str]
) -> list[str]:
    """What a careful person would look into before training on it."""
    warnings = labels.case_twins(order)
    if len(order) > 1 and all(map(names_a_split, order)):
        warnings.append(
            f"the classes are called {labels.listed(order)}: if these are splits, their images lie "
            "in no class folders"
        )
    if len(order) == 1:
        warnings.append(f"there is a single class ({order[0]}): nothing can be told apart")
    places: dict[tuple[int, int], list[tuple[str, str, File]]] = defaultdict(list)
    for role, tree in trees.items():
        for name, files in tree.classes.items():
            for file in files:
                places[file.size, findings[file.path].crc].append((role, name, file))
    leaks = [g for g in places.values() if len({role for role, _, _ in g}) > 1]
    clashes = [g for g in places.values() if len({name for _, name, _ in g}) > 1]
    if leaks:
        one, other = leaks[0][0], leaks[0][-1]
        warnings.append(
            f"{_are(len(leaks))} in more than one split, byte for byte: "
            f"{one[0]}/{one[2].key} and {other[0]}/{other[2].key}"
        )
    if clashes:
        one, other = clashes[0][0], clashes[0][-1]
        warnings.append(
            f"{_are(len(clashes))} in more than one class, byte for byte: "
            f"{one[2].key} and {other[2].key}"
        )
    return warnings + _straddling(trees)


def _straddling(trees: Mapping[str, Tree]) -> list[str]:
    """Groups in more than one split: a stated split is taken as it is, and said to leak."""
    roles: dict[str, set[str]] = defaultdict(set)
    for role, tree in trees.items():
        for file in tree.files():
            if group := tree.groups.get(file.key):
                roles[group].add(role)
    found = sorted((group for group in roles if len(roles[group]) > 1), key=names.natural_key)
    if not found:
        return []
    torn = [f"{quote(group)} ({', '.join(sorted(roles[group]))})" for group in found]
    are = "1 group is" if len(torn) == 1 else f"{len(torn)} groups are"
    return [f"{are} in more than one split (column {COLUMN}): {labels.listed(torn, 5)}"]


def facts_of(sets: Mapping[str, ImageSet], order: Sequence[str]) -> list[str]:
    """What is worth a line about classes and counts."""
    facts = []
    if any(name.isdecimal() for name in order) and list(order) != sorted(
        order, key=names.natural_key
    ):
        facts.append(f"classes in text order, kept in the checkpoint: {labels.listed(order, 5)}")
    missing = [n for n, count in sets["val"].counts().items() if not count]
    if missing:
        facts.append(f"classes without validation images: {labels.listed(missing, 5)}")
    return facts


def _are(count: int) -> str:
    return "1 image is" if count == 1 else f"{count} images are"
