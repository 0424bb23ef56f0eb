"""The check before a run: every listed file is read once, its checksum and header are kept.

Nothing is decoded that needs no decoding, so 10,000 photos take about as long as reading them.
Findings are remembered in the cache folder by path, size, times of change and inode (files that
change places may have one size and one date): a second look at the same folder costs one ``stat``
a file. The checksum (CRC-32 of the whole file) is there to
recognise content, not to resist an attacker; with the size it makes the data set's fingerprint
and names the pairs of files that are worth comparing byte by byte.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import time
import zlib
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from zoo.core import settings
from zoo.data.headers import Damage, Header, inspect, too_large
from zoo.data.scan import File, Tree, quote
from zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

_VERSION: Final = 3
_RACY: Final = 2_000_000_000  # a file changed this shortly before its check may change unseen
_SHOWN: Final = 20
_ROOM: Final = 64_000_000  # bytes besides the pixels: further frames, colour profiles


@dataclass(frozen=True, slots=True)
class Finding:
    """What the guard knows of one file.

    Attributes:
        crc: CRC-32 of its bytes.
        header: What it holds; ``None`` if it cannot be used.
        reason: Why it cannot be used.
    """

    crc: int
    header: Header | None
    reason: str = ""


def check(
    files: Iterable[File],
    root: Path,
    *,
    max_pixels: int,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Finding]:
    """Look at every file.

    Args:
        files: Listed files; their keys are unique.
        root: Folder of the data set; names the cache entry.
        max_pixels: Files with more pixels are refused.
        progress: Called with the number of files done.

    Returns:
        Path -> finding, in the order of ``files``.
    """
    cache = _Cache(root)
    found: dict[str, Finding] = {}
    for number, file in enumerate(files, 1):
        finding = cache.get(file)
        if finding is None:
            finding = _look(file, max_pixels)
            cache.put(file, finding)
        if finding.header is not None and finding.header.pixels > max_pixels:
            finding = Finding(finding.crc, None, too_large(finding.header, max_pixels))
        found[file.path] = finding
        if progress is not None and number % 256 == 0:
            progress(number)
    cache.save()
    return found


def _look(file: File, max_pixels: int) -> Finding:
    try:
        if file.size > (room := _ROOM + 8 * max_pixels):
            return Finding(0, None, f"{file.size:,} bytes, no image needs more than {room:,}")
        with open(file.path, "rb", buffering=0) as stream:  # noqa: PTH123 - a string, and fast
            data = stream.read()
    except OSError as error:
        return Finding(0, None, f"cannot be read ({(error.strerror or str(error)).lower()})")
    crc = zlib.crc32(data)
    try:
        return Finding(crc, inspect(data, max_pixels=max_pixels))
    except Damage as damage:
        return Finding(crc, None, str(damage))


def refuse(bad: Mapping[str, str], total: int, hint: str) -> DataError:
    """The error that lists unusable files at once, the first twenty by name.

    Args:
        bad: Key -> why.
        total: Number of files in the set.
        hint: What to do.
    """
    lines = [f"  {quote(key)}: {reason}" for key, reason in list(bad.items())[:_SHOWN]]
    if len(bad) > _SHOWN:
        lines.append(f"  and {len(bad) - _SHOWN} more (zoo doctor lists them all)")
    noun = "file" if total == 1 else "files"
    return DataError(
        "\n".join([f"{len(bad)} of {total} {noun} cannot be used:", *lines]), hint=hint
    )


def notes(findings: Iterable[Finding]) -> tuple[str, ...]:
    """One line for each way in which pixels are changed on reading."""
    modes: Counter[str] = Counter()
    animated = 0
    for finding in findings:
        if finding.header is not None:
            modes[finding.header.mode] += 1
            animated += finding.header.animated
    lines = []
    if modes["alpha"]:
        lines.append(f"transparency laid over white: {_images(modes['alpha'])}")
    if deep := modes["gray16"] + modes["rgb16"]:
        lines.append(f"16 bits scaled to 8: {_images(deep)}")
    if modes["cmyk"]:
        lines.append(f"CMYK converted to RGB: {_images(modes['cmyk'])}")
    if animated:
        lines.append(f"first frame of animations used: {_images(animated)}")
    return tuple(lines)


def _images(count: int) -> str:
    return f"{count} image{'s' if count != 1 else ''}"


def fingerprint(trees: Mapping[str, Tree], findings: Mapping[str, Finding]) -> str:
    """A digest of names, sizes and contents (CRC-32 each) of all files, 32 hex digits.

    It does not depend on where the folder lies, nor on dates.

    Args:
        trees: The splits by role; what tests is not what validates.
        findings: Finding by path.
    """
    digest = hashlib.blake2b(digest_size=16)
    for role, tree in trees.items():
        if role == "test":
            digest.update(b"test\0\0")
        for name, files in tree.classes.items():
            digest.update(os.fsencode(f"{name}\0{len(files)}\0"))
            for file in files:
                row = f"{file.key}\0{file.size}\0{findings[file.path].crc}\0"
                digest.update(os.fsencode(row))
                if role != "test" and "val" not in trees and (group := tree.groups.get(file.key)):
                    digest.update(os.fsencode(f"group\0{group}\0"))  # they decide who validates
    return digest.hexdigest()


def _marks(file: File) -> list[int]:
    """What is different once a file is."""
    return [file.size, file.mtime, file.ctime, file.identity[1]]


class _Cache:
    """Findings of one folder, kept between runs; it may vanish at any time."""

    def __init__(self, root: Path) -> None:
        name = hashlib.blake2b(os.fsencode(root.resolve()), digest_size=16).hexdigest()
        self._path = settings.cache_dir() / "guard" / f"{name}.json"
        self._rows: dict[str, list[Any]] = {}
        self._fresh = False
        try:
            stored = json.loads(self._path.read_bytes())
            if stored["version"] == _VERSION:
                self._rows = stored["files"]
        except (OSError, ValueError, KeyError, TypeError):
            self._rows = {}

    def get(self, file: File) -> Finding | None:
        row = self._rows.get(file.key)
        if not row or row[:-3] != _marks(file):
            return None
        crc, reason, header = row[-3:]
        return Finding(crc, Header(*header) if header else None, reason)

    def put(self, file: File, finding: Finding) -> None:
        unread = finding.header is None and not finding.crc
        if unread or time.time_ns() - file.mtime < _RACY:
            return
        header = finding.header
        plain = (
            [header.format, header.width, header.height, header.mode, header.animated]
            if header
            else None
        )
        self._rows[file.key] = [*_marks(file), finding.crc, finding.reason, plain]
        self._fresh = True

    def save(self) -> None:
        if not self._fresh:
            return
        partial = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        try:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps({"version": _VERSION, "files": self._rows}), "ascii")
            partial.replace(self._path)
        except OSError:  # a read-only or full cache costs time, not correctness
            with contextlib.suppress(OSError):
                partial.unlink()
