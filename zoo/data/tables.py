"""A data set as a table: a ``.csv`` with the columns ``path`` and ``label``, maybe ``split`` and ``group``."""

from __future__ import annotations

import csv
import os
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final, TextIO

from zoo.data.groups import COLUMN
from zoo.data.scan import SPLIT_NAMES, Tree, file_at, quote
from zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator

_COLUMNS: Final[dict[str, tuple[str, ...]]] = {
    "path": ("path", "image", "file", "filename", "filepath", "image_path"),
    "label": ("label", "class", "target", "category"),
    "split": ("split", "set", "subset"),
    COLUMN: (COLUMN,),
}
MAX_LINE: Final = 65_536
"""Characters of a line; a path and a label have a few hundred."""
_HINT: Final = "first line: path,label (if you like, split: train, val or test; and group)"


def read_table(path: Path) -> dict[str, Tree]:
    """Read a table of images.

    Paths are relative to the table's folder and stay inside it; labels are class names.

    Args:
        path: A ``.csv`` (commas, semicolons or tabs) in UTF-8, with a heading line.

    Returns:
        ``train`` and, if the table has a column for it, ``val`` and ``test``; with the group of
        each image, if there is a column for that.

    Raises:
        DataError: Columns are missing, a line is incomplete or endless, a path leads elsewhere, a
            split, a label or a group makes no sense.
    """
    trees: dict[str, Tree] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            start = stream.read(4096)
            stream.seek(0)
            rows = csv.reader(_lines(stream), delimiter=_delimiter(start))
            places = _columns(path, next(rows, []))
            seen: dict[str, str] = {}
            for row in rows:
                if row:
                    _take(path, rows.line_num, row, places, trees, seen)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"cannot read {quote(str(path))}: {error}", hint=_HINT) from error
    if not trees.get("train"):
        raise DataError(f"{quote(str(path))} lists no training images", hint=_HINT)
    for tree in trees.values():
        tree.classes = {name: tree.classes[name] for name in sorted(tree.classes)}
    return trees


def _lines(stream: TextIO) -> Iterator[str]:
    """The lines of a file, none of which may be endless."""
    for number in count(1):
        line = stream.readline(MAX_LINE)
        if len(line) == MAX_LINE:
            raise csv.Error(f"line {number} has more than {MAX_LINE:,} characters")
        if not line:
            return
        yield line


def _inside(table: Path, key: str, where: str) -> Path:
    """Where an entry lies; it may not lead out of the table's folder.

    Links that lie inside are followed: whoever made the folder made them.
    """
    root = os.path.abspath(table.parent)  # noqa: PTH100 - resolve() would follow the links
    path = os.path.normpath(os.path.join(root, key))  # noqa: PTH118 - the same
    if "\0" in key or os.path.commonpath([root, path]) != root:
        raise DataError(
            f"{where}: {quote(key)} leads out of the table's folder",
            hint="put the table above its images; paths are relative to it",
        )
    return Path(path)


def _delimiter(start: str) -> str:
    heading = start.partition("\n")[0]
    return max(",;\t", key=heading.count)


def _columns(path: Path, heading: list[str]) -> dict[str, int]:
    names = [name.strip().lower() for name in heading]
    places = {
        column: names.index(alias)
        for column, aliases in _COLUMNS.items()
        for alias in reversed(aliases)
        if alias in names
    }
    missing = [column for column in ("path", "label") if column not in places]
    if missing:
        raise DataError(
            f"{quote(str(path))} has no column {' and no column '.join(missing)}: "
            f"its first line is {','.join(heading)[:120] or 'empty'}",
            hint=_HINT,
        )
    return places


def _take(
    path: Path,
    line: int,
    row: list[str],
    places: dict[str, int],
    trees: dict[str, Tree],
    seen: dict[str, str],
) -> None:
    where = f"{quote(str(path))}, line {line}"
    if len(row) <= max(places.values()):
        raise DataError(f"{where}: {len(row)} columns, {max(places.values()) + 1} needed")
    key, label = row[places["path"]].strip(), row[places["label"]].strip()
    split = row[places["split"]].strip().lower() if "split" in places else "train"
    known = [name for name, spellings in SPLIT_NAMES.items() if split in spellings]
    if not key or not label:
        raise DataError(f"{where}: the {'label' if key else 'path'} is empty")
    if not known:
        raise DataError(f"{where}: unknown split {split!r}", hint="train, val or test")
    if label.lstrip("-").isdecimal() and label.startswith("-"):
        raise DataError(
            f"{where}: label {label} is negative; torch's losses would ignore -100 without a word",
            hint="labels are class names; leave unlabelled images out",
        )
    if seen.setdefault(key, label) != label:
        raise DataError(f"{where}: {quote(key)} is both {seen[key]!r} and {label!r}")
    tree = trees.setdefault(known[0], Tree(path.parent))
    group = row[places[COLUMN]].strip() if COLUMN in places else None
    if group is not None and tree.groups.setdefault(key, group) != group:
        raise DataError(
            f"{where}: {quote(key)} is in two groups, {tree.groups[key]!r} and {group!r}"
        )
    files = tree.classes.setdefault(label, [])
    try:
        files.append(file_at(_inside(path, key, where), key))
    except OSError as error:
        tree.broken[key] = (error.strerror or str(error)).lower()
