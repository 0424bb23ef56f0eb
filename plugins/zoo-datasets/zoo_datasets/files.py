"""Files by pattern: which there are, which split each belongs to, and a digest of what is in them."""

from __future__ import annotations

import contextlib
import glob
import hashlib
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from zoo.plugin import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

SPLITS: Final[dict[str, tuple[str, ...]]] = {
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""Split -> the words in a file's or a folder's name that mean it."""
_BRACES: Final = re.compile(r"\{([^{}]*)\}")
_BLOCK: Final = 1 << 20


def gather(kind: str, suffix: str, root: str, patterns: Mapping[str, str]) -> dict[str, list[Path]]:
    """Split -> files, in the order of their names.

    Args:
        kind: What the data set is called.
        suffix: Suffix of files in a folder (``.parquet``).
        root: Where relative patterns are looked for if nothing lies here.
        patterns: ``files`` (the names say the split), or ``train``, ``val`` and ``test``.

    Raises:
        DataError: Nothing matches, or only some names say a split.
        UsageError: No pattern at all, or both ways at once.
    """
    given = {key: str(text) for key, text in patterns.items() if text != ""}
    if "files" in given and len(given) > 1:
        raise UsageError(
            f"datasets/{kind}: files and {', '.join(k for k in given if k != 'files')} were given",
            hint="files=PATTERN, whose names say the split, or a pattern for each: train=, val=",
        )
    if not given:
        raise UsageError(
            f"datasets/{kind} needs files",
            hint=f"--data-option files='shards/*{suffix}', or train=PATTERN and val=PATTERN",
        )
    found = {key: find(text, suffix, root) for key, text in given.items()}
    return found if "files" not in found else by_name(found["files"], kind)


def find(pattern: str, suffix: str, root: str) -> list[Path]:
    """The files that a pattern means, sorted by name.

    Args:
        pattern: A file, a folder, or with ``*``, ``?``, ``[]``, ``**`` and ``{a,b}``.
        suffix: Suffix of files in a folder.
        root: Where a relative pattern is looked for if nothing lies here.

    Raises:
        DataError: Nothing matches; says where was looked.
    """
    places = [Path(), *([Path(root)] if not os.path.isabs(os.path.expanduser(pattern)) else [])]  # noqa: PTH111, PTH117 - a pattern, not a path
    for place in places:
        if found := _matches(place, pattern, suffix):
            return found
    where = " or ".join(repr(str(place.resolve())) for place in places)
    raise DataError(
        f"no {suffix} file matches {pattern!r} in {where}",
        hint="a pattern is relative to where you are, or to --data-root; quote it: files='*'",
    )


def _matches(place: Path, pattern: str, suffix: str) -> list[Path]:
    found: set[str] = set()
    for plain in expand(os.path.expanduser(pattern)):  # noqa: PTH111 - a pattern, not a path
        full = plain if os.path.isabs(plain) else os.path.join(glob.escape(str(place)), plain)  # noqa: PTH117, PTH118 - the same
        for name in glob.glob(full, recursive=True):  # noqa: PTH207 - the same
            path = Path(name)
            found |= {str(p) for p in path.rglob(f"*{suffix}")} if path.is_dir() else {name}
    kept = {os.path.abspath(name) for name in found}  # noqa: PTH100 - resolve() would follow links
    return [Path(name) for name in sorted(kept) if name.endswith(suffix)]


def expand(pattern: str) -> list[str]:
    """``{a,b}-*`` to ``a-*`` and ``b-*``, as a shell does."""
    match = _BRACES.search(pattern)
    if match is None:
        return [pattern]
    start, end = pattern[: match.start()], pattern[match.end() :]
    return [each for part in match[1].split(",") for each in expand(f"{start}{part}{end}")]


def split_of(names: Sequence[str]) -> str:
    """The split that a path's parts say, the file's own name first; empty if none does."""
    for name in reversed(names):
        words = set(re.split(r"[^a-z]+", name.lower()))
        for split, spellings in SPLITS.items():
            if words & set(spellings):
                return split
    return ""


def by_name(files: Sequence[Path], kind: str) -> dict[str, list[Path]]:
    """Deal files to splits by their names; if none says one, all of them train.

    Args:
        files: Sorted files.
        kind: What the data set is called.

    Raises:
        DataError: Some names say a split and others do not, or none of them trains.
    """
    base = folder_of(files)
    said = {path: split_of(path.relative_to(base).parts) for path in files}
    silent = [path.name for path, split in said.items() if not split]
    if silent and len(silent) < len(files):
        raise DataError(
            f"datasets/{kind}: {len(silent)} of {len(files)} files name no split: "
            f"{', '.join(silent[:5])}",
            hint="give each split its own pattern: --data-option train=PATTERN and val=PATTERN",
        )
    dealt = {name: [p for p in files if (said[p] or "train") == name] for name in SPLITS}
    return {name: paths for name, paths in dealt.items() if paths}


def described(files: Mapping[str, Sequence[Path]], *, by_name: bool) -> str:
    """What is worth a line about files: how many each split has, and who said so.

    Args:
        files: Split -> files.
        by_name: Whether their names were asked.
    """
    counts = ", ".join(f"{split} {len(paths)}" for split, paths in files.items())
    base = folder_of([path for paths in files.values() for path in paths])
    silent = by_name and not any(
        split_of(path.relative_to(base).parts) for paths in files.values() for path in paths
    )
    if silent:
        return f"no file's name says a split, so all train: {counts}"
    return f"files by split, {'by their names' if by_name else 'as given'}: {counts}"


def folder_of(files: Sequence[Path]) -> Path:
    """The deepest folder that holds all of these files."""
    return Path(os.path.commonpath([path.parent for path in files]))


def digest_of(files: Mapping[str, Sequence[Path]], memory: Path) -> str:
    """A digest of names and contents, 32 hex digits; where the folder lies does not matter.

    Args:
        files: Split -> files.
        memory: File in which digests are remembered, by size and dates.
    """
    from datasets.utils.tqdm import tqdm

    every = [path for paths in files.values() for path in paths]
    base, known = folder_of(every), _Memory(memory)
    whole = hashlib.blake2b(digest_size=16)
    with tqdm(total=len(every), desc="checking files", unit="file") as bar:
        for split, paths in files.items():
            for path in paths:
                name = path.relative_to(base).as_posix()
                whole.update(f"{split}\0{name}\0{known.of(path)}\0".encode(errors="replace"))
                bar.update()
    known.save()
    return whole.hexdigest()


class _Memory:
    """Digests of files that have not changed since; it may vanish at any time."""

    def __init__(self, path: Path) -> None:
        self._path, self._fresh = path, False
        self._rows: dict[str, list[Any]] = {}
        with contextlib.suppress(OSError, ValueError):
            stored = json.loads(path.read_bytes())
            self._rows = stored if isinstance(stored, dict) else {}

    def of(self, path: Path) -> str:
        stat = path.stat()
        marks = [stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns, stat.st_ino]
        row = self._rows.get(str(path))
        if row and row[:-1] == marks:
            return str(row[-1])
        digest = hashlib.blake2b(digest_size=16)
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
        self._rows[str(path)], self._fresh = [*marks, digest.hexdigest()], True
        return digest.hexdigest()

    def save(self) -> None:
        if not self._fresh:
            return
        partial = self._path.with_name(f"{self._path.name}.{os.getpid()}")
        with contextlib.suppress(OSError):  # a read-only or full disk costs time, not correctness
            self._path.parent.mkdir(parents=True, exist_ok=True)
            partial.write_text(json.dumps(self._rows), "utf-8")
            partial.replace(self._path)
