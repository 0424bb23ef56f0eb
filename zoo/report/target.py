"""Where reports and pictures may be written: over an earlier report, never over anything else. No torch."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from zoo.engine.saving import atomic
from zoo.engine.saving.newfile import Kind, check_folder, check_new, no_room, written
from zoo.errors import DiskError, UsageError

if TYPE_CHECKING:
    from pathlib import Path

HEAD: Final = "<!doctype html>\n<!-- zoo report -->\n"
"""How every report begins; a file that begins otherwise is somebody's."""
PICTURE: Final = Kind(
    name="preview", flag="--preview", suffixes=(".png",), refusal="a preview is a PNG picture, not"
)


def check_target(path: Path) -> None:
    """Make sure that a report can be written, before anything expensive is done.

    Args:
        path: The file to make, or to make anew.

    Raises:
        UsageError: It is no name for a page, its folder is not there, or another file is in its
            place.
        DiskError: The folder may not be written.
    """
    if path.is_dir():
        raise UsageError(f"{path} is a folder", hint=f"--report {path / 'report.html'}")
    if path.suffix.lower() not in (".html", ".htm"):
        raise UsageError(
            f"a report is an HTML page, not {path.name!r}",
            hint=f"--report {path.with_name(f'{path.stem}.html')}",
        )
    if os.path.lexists(path) and not is_report(path):
        other = path.with_name(f"{path.stem}-report{path.suffix}")
        raise UsageError(
            f"{path} is no report of zoo's; it is not written over", hint=f"--report {other}"
        )
    check_folder(path.parent, "report", "--report")


def check_picture(path: Path) -> None:
    """Make sure that a preview can be written, before anything expensive is done.

    Args:
        path: The file to make.

    Raises:
        UsageError: It is no name for a PNG picture, it is there already, or its folder is not.
        DiskError: The folder may not be written.
    """
    check_new(path, PICTURE)


def write_picture(path: Path, data: bytes) -> None:
    """Write a preview, whole or not at all.

    Args:
        path: The file.
        data: A PNG picture.

    Raises:
        UsageError: Meanwhile there is a file of that name.
        DiskError: The system refused.
    """
    check_picture(path)
    with written(path, PICTURE):
        atomic.write_bytes(path, data, new=True)


def is_report(path: Path) -> bool:
    """Whether a file is a report that zoo wrote."""
    try:
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return file.read(len(HEAD)) == HEAD.encode()
    except OSError:
        return False


def write_page(path: Path, text: str) -> None:
    """Write a report, whole or not at all.

    Args:
        path: The file.
        text: The page, from :data:`HEAD` on.

    Raises:
        UsageError: Meanwhile another file took its place.
        DiskError: The system refused.
    """
    check_target(path)
    try:
        atomic.write_bytes(path, text.encode())
    except DiskError as error:
        error.hint = no_room("--report FILE")
        raise
