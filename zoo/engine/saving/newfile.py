"""A new file that a user names: whether it may be that, and what is said if it cannot be written.

What is there already is never replaced. Imports no torch, so that it is said at once.
"""

from __future__ import annotations

import errno
import os
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING

from zoo.errors import DiskError, UsageError, too_long

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Kind:
    """What somebody wants to have written.

    Attributes:
        name: What it is called: ``preview``.
        flag: The flag that names the file.
        suffixes: Those that it may have, in lower case; the first is suggested.
        refusal: What is said of another one; the file's name follows.
    """

    name: str
    flag: str
    suffixes: tuple[str, ...]
    refusal: str


def check_new(path: Path, kind: Kind) -> None:
    """Make sure that a file can be made, before anything expensive is done.

    Args:
        path: The file to make.
        kind: What it will be.

    Raises:
        UsageError: A folder, of another suffix, there already, in no folder, or of too long a name.
        DiskError: The folder may not be written.
    """
    usual = kind.suffixes[0]
    taken = _is_there(path)
    if taken and path.is_dir():
        raise UsageError(f"{path} is a folder", hint=f"{kind.flag} {path / (kind.name + usual)}")
    if path.suffix.lower() not in kind.suffixes:
        raise UsageError(
            f"{kind.refusal} {path.name!r}", hint=f"{kind.flag} {path.with_name(path.stem + usual)}"
        )
    if taken:
        names = (path.with_name(f"{path.stem}-{n}{path.suffix}") for n in count(2))
        free = next(name for name in names if not os.path.lexists(name))
        raise UsageError(f"{path} is there; it is not written over", hint=f"{kind.flag} {free}")
    check_folder(path.parent, kind.name, kind.flag)


def _is_there(path: Path) -> bool:
    try:
        path.lstat()
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            raise too_long(str(path)) from error
        return False
    return True


def check_folder(folder: Path, what: str, flag: str) -> None:
    """Make sure that files can be made in a folder that has to be there.

    Args:
        folder: The folder.
        what: What is to be written.
        flag: The flag that names it.

    Raises:
        UsageError: There is no such folder.
        DiskError: It may not be written.
    """
    if not folder.is_dir():
        raise UsageError(f"there is no folder {folder} for the {what}", hint=f"mkdir -p {folder}")
    check_access(folder, flag)


def check_access(folder: Path, flag: str) -> None:
    """Make sure that files can be made in a folder that is there.

    Raises:
        DiskError: They cannot.
    """
    if not os.access(folder, os.W_OK | os.X_OK):
        raise DiskError(f"cannot write into {folder}: permission denied", hint=f"{flag} PATH")


@contextmanager
def written(path: Path, kind: Kind) -> Iterator[None]:
    """Say, in the words of :func:`check_new`, that somebody else made the file meanwhile.

    Raises:
        UsageError: Somebody did.
        DiskError: The system refused; the hint says what to do.
    """
    try:
        yield
    except DiskError as error:
        if isinstance(error.__cause__, FileExistsError):
            check_new(path, kind)
        error.hint = no_room(f"{kind.flag} FILE")
        raise


def no_room(flag: str) -> str:
    """The hint where the system refused to write."""
    return f"free some space, or choose another place with {flag}"
