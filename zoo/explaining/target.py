"""What can be asked and where it may be written, known before anything is computed. No torch."""

from __future__ import annotations

import os
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zoo.core.names import did_you_mean, suggest
from zoo.data.places import check_paths
from zoo.data.scan import quote
from zoo.engine.saving.newfile import Kind, check_access, check_new, no_room
from zoo.errors import DataError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

EMBEDDINGS: Final = Kind(
    name="embeddings",
    flag="--out",
    suffixes=(".safetensors", ".csv"),
    refusal="embeddings are written to .safetensors or .csv, not to",
)


def find_class(label: str, classes: Sequence[str], outputs: int = 0) -> int:
    """The output that a class belongs to.

    Args:
        label: The class's name; where no names are known, the output's number.
        classes: Names in the order of the outputs; may be empty.
        outputs: Number of outputs.

    Raises:
        UnknownNameError: There is no such class.
    """
    known = tuple(classes) or tuple(map(str, range(outputs)))
    if label in known:
        return known.index(label)
    close = suggest(label, known)
    if classes:
        hint = did_you_mean(close) or f"it has {', '.join(known[:10])}{' ...' * (len(known) > 10)}"
    else:
        hint = f"its classes have no names: give the number of an output, 0 to {outputs - 1}"
    raise UnknownNameError(f"the model has no class {label!r}", hint=hint, suggestions=close)


def check_folder(folder: Path) -> None:
    """Make sure that files can be written into a folder, which may be one that is to be made.

    Raises:
        UsageError: It is a file.
        DiskError: It may not be written.
    """
    there = next(path for path in (folder, *folder.absolute().parents) if os.path.lexists(path))
    if not there.is_dir():
        raise UsageError(f"{there} is no folder", hint="--out FOLDER")
    check_access(there, "--out")


def check_file(path: Path) -> None:
    """Make sure that embeddings can be written to a file.

    Raises:
        UsageError: A folder, of another suffix, there already, or in no folder.
        DiskError: The folder may not be written.
    """
    check_new(path, EMBEDDINGS)


def check_image(path: str | Path) -> None:
    """Make sure that there is one image file.

    Raises:
        DataError: Nothing is there, or a folder.
    """
    check_paths([path])
    if Path(path).is_dir():
        raise DataError(f"{quote(str(path))} is a folder, not one image", hint="name an image file")


def write_new(folder: Path, stem: str, suffix: str, data: bytes) -> Path:
    """Write a file that is not there yet: a name that is taken gets a number.

    Args:
        folder: Made if it is not there.
        stem: Name without suffix.
        suffix: With its dot.
        data: What to write.

    Raises:
        DiskError: The system refused.
    """
    numbers, path = count(2), folder / f"{stem}{suffix}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            try:
                file = path.open("xb")
                break
            except FileExistsError:
                path = folder / f"{stem}-{next(numbers)}{suffix}"
        try:
            with file:
                file.write(data)
        except BaseException:  # also Ctrl-C: half a picture is none
            path.unlink()
            raise
    except OSError as error:
        from zoo.engine.saving.atomic import disk_error  # names are looked up here without it

        refused = disk_error(error, path)
        refused.hint = no_room("--out FOLDER")
        raise refused from error
    return path
