"""The full examination of a data set: everything the guard checks, and every image decoded.

Findings are collected, not raised: a person wants to see them all at once.
"""

from __future__ import annotations

import hashlib
from collections import Counter, defaultdict
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.data import folders, guard, labels
from zoo.data.apart import set_apart
from zoo.data.places import DEFAULT_FOLDER, locate
from zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zoo.core.recipe import DataPart
    from zoo.core.registry import Registry
    from zoo.data.images import ImageSet
    from zoo.data.scan import File, Tree

    Progress = Callable[[str, int, int], None]


@dataclass(slots=True)
class Examination:
    """What was found.

    Attributes:
        name: What was examined.
        problems: Where -> what stops training, e.g. a file -> ``truncated PNG``.
        hints: What to do about the problems.
        warnings: What a careful person would look into.
        notes: Facts.
        counts: Split -> class -> images.
        formats: Kind of file -> how many (``jpeg rgb``).
        sizes: Smallest and largest height and width, where known.
        duplicates: Groups of files with the same bytes, within and across splits.
        fingerprint: Digest of the content, 32 hex digits; empty if it could not be made.
    """

    name: str
    problems: dict[str, str] = field(default_factory=dict)
    hints: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    counts: dict[str, dict[str, int]] = field(default_factory=dict)
    formats: dict[str, int] = field(default_factory=dict)
    sizes: dict[str, tuple[int, int]] = field(default_factory=dict)
    duplicates: list[tuple[str, ...]] = field(default_factory=list)
    fingerprint: str = ""

    @property
    def ok(self) -> bool:
        """Whether training can begin."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Everything, for JSON."""
        return {"ok": self.ok, **asdict(self)}


def examine(
    data: DataPart,
    *,
    registry: Registry,
    classes: int | None = None,
    channels: int = 3,
    threads: int = 1,
    progress: Progress | None = None,
) -> Examination:
    """Examine the data of a recipe.

    Args:
        data: Which images.
        registry: Where named data sets are found.
        classes: Number of classes asked for.
        channels: Channels to decode to.
        threads: Threads that decode.
        progress: Called with what is done, how far, and how many there are.

    Raises:
        UnknownNameError: An option or a name that zoo does not know.
    """
    say = progress or (lambda *_: None)
    source = data.source or DEFAULT_FOLDER
    found = Examination(source)
    try:
        name, path = locate(source, registry)
        if name:
            _examine_named(found, data, registry, classes, channels, say)
        else:
            _examine_files(found, data, path, classes, channels, threads, say)
    except DataError as error:
        found.problems[source] = error.message
        found.hints.append(error.hint.replace("--data ", "zoo doctor "))  # it has no such flag
    return found


def _examine_named(
    found: Examination,
    data: DataPart,
    registry: Registry,
    classes: int | None,
    channels: int,
    say: Progress,
) -> None:
    from zoo.data.sources import open_data

    splits = open_data(data, registry=registry, classes=classes, channels=channels)
    sets = {"train": splits.train, "val": splits.val}
    sets |= {"test": splits.test} if splits.test is not None else {}
    total = sum(map(len, sets.values()))
    for role, images in sets.items():
        found.counts[role] = images.counts()
        for index, reason in _undecodable(images):
            if reason:
                found.problems[f"{role}: {images.keys[index]}"] = reason
            if index % 64 == 0:
                say("decoding", index, total)
    found.notes += splits.notes
    found.warnings += splits.warnings
    found.fingerprint = splits.fingerprint


def _undecodable(images: ImageSet) -> Iterator[tuple[int, str]]:
    for index in range(len(images)):
        try:
            images.load(index)
        except DataError as error:
            yield index, error.message
        else:
            yield index, ""


def _examine_files(
    found: Examination,
    data: DataPart,
    path: Path,
    classes: int | None,
    channels: int,
    threads: int,
    say: Progress,
) -> None:
    trees, facts = folders.gather(data, path)
    found.notes += facts
    total = sum(map(len, trees.values()))
    findings: dict[str, guard.Finding] = {}
    for role, tree in trees.items():
        found.problems |= {f"{role}/{key}": reason for key, reason in tree.broken.items()}
        findings |= guard.check(
            tree.files(),
            tree.root,
            max_pixels=data.max_pixels,
            progress=lambda done: say("reading", done, total),
        )
        found.problems |= {
            f"{role}/{file.key}": findings[file.path].reason
            for file in tree.files()
            if findings[file.path].header is None
        }
        found.counts[role] = {name: len(files) for name, files in tree.classes.items()}
    found.fingerprint = guard.fingerprint(trees, findings)
    _decode(found, trees, findings, channels, data.max_pixels, threads, say)
    _structure(found, trees, findings, data, path, classes)
    found.duplicates = duplicates(trees, findings)
    found.notes += guard.notes(findings.values())
    found.warnings += folders.suspicions(trees, findings, tuple(trees["train"].classes))
    _measure(found, findings)
    if found.problems and not found.hints:
        larger = folders.allowing(found.problems.values(), "--max-pixels N")
        found.hints.append(
            f"remove or repair these files, or train with --on-bad-image skip{larger}"
        )


def _decode(
    found: Examination,
    trees: dict[str, Tree],
    findings: dict[str, guard.Finding],
    channels: int,
    max_pixels: int,
    threads: int,
    say: Progress,
) -> None:
    """Decode what the guard let through; its checks see nearly all damage, not all."""
    from zoo.data.decode import read_image

    def attempt(job: tuple[str, File]) -> tuple[str, str]:
        role, file = job
        try:
            read_image(file.path, channels, max_pixels)
        except DataError as error:
            return f"{role}/{file.key}", error.message.rpartition(": ")[2]
        return "", ""

    jobs = [
        (role, file)
        for role, tree in trees.items()
        for file in tree.files()
        if findings[file.path].header is not None
    ]
    with ThreadPoolExecutor(max(1, threads)) as pool:
        for done, (key, reason) in enumerate(pool.map(attempt, jobs)):
            if key:
                found.problems[key] = reason
            if done % 64 == 0:
                say("decoding", done, len(jobs))


def _structure(
    found: Examination,
    trees: dict[str, Tree],
    findings: dict[str, guard.Finding],
    data: DataPart,
    path: Path,
    classes: int | None,
) -> None:
    order = tuple(trees["train"].classes)
    checks: dict[str, Callable[[], None]] = {
        "number of classes": lambda: labels.expect(order, classes, str(path))
    }
    for role, tree in trees.items():
        checks[f"folders of {role}"] = partial(folders.drop_empty, tree, role, data)
        if role != "train":
            checks[f"classes of {role}"] = partial(folders.compare, order, tree, role, data)
    if "val" not in trees and not found.problems:
        checks["validation images"] = partial(_hold_out, found, trees["train"], findings, data)
    for what, check in checks.items():
        try:
            check()
        except DataError as error:
            found.problems[what] = error.message
            found.hints.append(error.hint)


def _hold_out(
    found: Examination, tree: Tree, findings: dict[str, guard.Finding], data: DataPart
) -> None:
    """Try what a run would do for want of validation images; which ones it takes is no matter."""
    known = [label for label, files in enumerate(tree.classes.values()) for _ in files]
    twins = [(file.size, findings[file.path].crc) for file in tree.files()]
    keys = [file.key for file in tree.files()]
    groups = [tree.groups.get(key, "") for key in keys]
    parts = set_apart(data, list(tree.classes), known, keys, seed=0, twins=twins, groups=groups)
    found.notes += parts.notes


def duplicates(trees: dict[str, Tree], findings: dict[str, guard.Finding]) -> list[tuple[str, ...]]:
    """Groups of files with the same bytes, compared by a digest of the whole file.

    Args:
        trees: Role -> files.
        findings: What the guard knows of each path; names the candidates.

    Returns:
        Groups of ``role/key``, sorted.
    """
    alike: dict[tuple[int, int], list[tuple[str, File]]] = defaultdict(list)
    for role, tree in trees.items():
        for file in tree.files():
            alike[file.size, findings[file.path].crc].append((role, file))
    groups: dict[bytes, list[str]] = defaultdict(list)
    for candidates in alike.values():
        if len(candidates) > 1:
            for role, file in candidates:
                groups[_digest(file)].append(f"{role}/{file.key}")
    return sorted(tuple(sorted(group)) for group in groups.values() if len(group) > 1)


def _digest(file: File) -> bytes:
    try:
        data = Path(file.path).read_bytes()
    except OSError:
        data = file.path.encode(errors="surrogateescape")
    return hashlib.blake2b(data, digest_size=16).digest()


def _measure(found: Examination, findings: dict[str, guard.Finding]) -> None:
    headers = [finding.header for finding in findings.values() if finding.header is not None]
    found.formats = dict(Counter(f"{h.format} {h.mode}" for h in headers).most_common())
    if headers:
        found.sizes = {
            "height": (min(h.height for h in headers), max(h.height for h in headers)),
            "width": (min(h.width for h in headers), max(h.width for h in headers)),
        }
