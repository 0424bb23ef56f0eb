"""Writing a file so that it is either there, whole and on the disk, or not there at all.

Staged in a folder on the same file system, flushed, renamed, and the folder flushed: a kill, a
full disk or a power cut at any system call leaves the old file or the new one, never a mixture.
"""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path
from typing import IO, TYPE_CHECKING

from zoo.errors import DiskError

if TYPE_CHECKING:
    from collections.abc import Iterator

_REASONS = {
    errno.ENOSPC: "the disk is full",
    errno.EDQUOT: "your disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EIO: "the disk reported an input/output error",
    errno.EFBIG: "the file is larger than the file system or the limit allows",
}


@contextmanager
def replacing(path: Path, *, staging: Path | None = None, new: bool = False) -> Iterator[IO[bytes]]:
    """Open a file that takes the place of ``path`` when the block ends without an error.

    Args:
        path: The file to make or replace; a symbolic link is replaced, not followed.
        staging: Folder for the unfinished file, on the same file system; default: beside it.
        new: Replace nothing: what another process made meanwhile stays.

    Yields:
        A binary file, open for reading and writing.

    Raises:
        DiskError: The system refused (full, read-only, no permission, input/output error), or
            there is a file that is not to be replaced (the cause is a ``FileExistsError``);
            ``path`` is as it was and the unfinished file is gone.
    """
    temporary: Path | None = None
    try:
        folder = staging or path.parent
        make_folder(folder)
        make_folder(path.parent)
        handle, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=folder)
        temporary = Path(name)
        with os.fdopen(handle, "w+b") as file:
            yield file
            file.flush()
            _flush(file.fileno())
            os.fchmod(file.fileno(), 0o666 & ~current_umask())
        if not (new and _linked(temporary, path)):
            os.replace(temporary, path)  # noqa: PTH105 - the one call that all of this is about
            temporary = None
        sync_folder(path.parent)
    except OSError as error:
        raise disk_error(error, path) from error
    finally:
        if temporary is not None:
            with contextlib.suppress(OSError):
                temporary.unlink()


def _linked(temporary: Path, path: Path) -> bool:
    """Give a file a second name, which nobody has; whether the file system knows such names.

    Raises:
        FileExistsError: Somebody has it.
    """
    try:
        path.hardlink_to(temporary)
    except FileExistsError:
        raise
    except OSError as error:
        if os.path.lexists(path):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(path)) from error
        return False
    return True


def _flush(handle: int) -> None:
    """Have the device write the file's bytes; macOS's fsync alone does not ask the drive."""
    if sys.platform == "darwin":
        import fcntl

        fcntl.fcntl(handle, fcntl.F_FULLFSYNC)
    else:
        os.fsync(handle)


def write_bytes(path: Path, data: bytes, *, staging: Path | None = None, new: bool = False) -> None:
    """Make or replace a small file atomically.

    Raises:
        DiskError: As :func:`replacing`.
    """
    with replacing(path, staging=staging, new=new) as file:
        file.write(data)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it where they are missing, and flush their names.

    A folder whose own name is not on the disk takes everything in it away when the power goes.

    Raises:
        OSError: The system refused.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for path in reversed(missing):
        sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """Flush a folder's entries to the disk (a rename is only safe after this)."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def current_umask() -> int:
    """The process's umask, read without leaving it changed."""
    try:
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("Umask:"):
                return int(line.split()[1], 8)
    except (OSError, ValueError):
        pass
    mask = os.umask(0o022)
    os.umask(mask)
    return mask


def disk_error(error: OSError, path: Path) -> DiskError:
    """Translate an operating system error about a file into one that says what to do."""
    reason = _REASONS.get(error.errno or 0, error.strerror or str(error))
    hint = ""
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        hint = "free some space, or choose another disk with --set output.dir=FOLDER"
    elif error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
        hint = "choose a folder that you may write with --set output.dir=FOLDER"
    return DiskError(f"cannot write {path}: {reason}", hint=hint)


def sweep(folder: Path) -> int:
    """Delete what a killed writer left in a staging folder; call it under the run's lock.

    Returns:
        How many files were deleted.
    """
    count = 0
    with contextlib.suppress(OSError):
        for entry in folder.iterdir():
            with contextlib.suppress(OSError):
                entry.unlink()
                count += 1
    return count
