"""Small tasks on files that several of the hub's modules share: digests and atomic writing."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from zoo.core.metadata import foreign_kind
from zoo.errors import DiskError, HubError
from zoo.hub.failures import disk_error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def sha256_file(path: Path, progress: Callable[[int, int | None], None] | None = None) -> str:
    """Hex sha256 of a file.

    Args:
        path: The file.
        progress: Called with (bytes read, size).

    Raises:
        HubError: The file cannot be read.
    """
    digest = hashlib.sha256()
    try:
        size = path.stat().st_size
        done = 0
        with path.open("rb") as file:
            while block := file.read(1 << 22):
                digest.update(block)
                done += len(block)
                if progress:
                    progress(done, size)
    except OSError as error:
        raise HubError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest()


def discard(path: Path) -> None:
    """Remove a damaged file; one that is not there is no error.

    Raises:
        DiskError: It lies where nothing can be changed.
    """
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise DiskError(
            f"{path} is damaged and lies in a cache that cannot be written",
            hint="HF_HOME and ZOO_CACHE name folders of your own, to fetch it there",
        ) from error


def is_pickle(path: Path) -> bool:
    """Whether a file's first bytes are a pickle's or a ``torch.save`` archive's."""
    with path.open("rb") as file:
        return foreign_kind(file.read(128)).startswith("a pickle")


def git_blob_sha1(path: Path) -> str:
    """Hex sha1 that git gives a file's content: what the Hub calls a small file's etag.

    Raises:
        HubError: The file cannot be read.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise HubError(f"cannot read {path}: {error.strerror or error}") from error
    digest = hashlib.sha1(b"blob %d\0" % len(data), usedforsecurity=False)
    digest.update(data)
    return digest.hexdigest()


def digest_like(path: Path, wanted: str) -> str:
    """The digest of ``path`` of the kind that ``wanted`` is: sha1 (40 hex) or sha256."""
    return git_blob_sha1(path) if len(wanted) == 40 else sha256_file(path)


def move_into_place(temporary: Path, target: Path) -> None:
    """Flush ``temporary`` to the disk and rename it to ``target``, in the same folder.

    Raises:
        DiskError: The disk refuses.
    """
    try:
        _flush(temporary)
        temporary.replace(target)
        _flush(target.parent)
    except OSError as error:
        raise disk_error(error, str(target)) from error


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def hold(path: Path, *, note: Callable[[str], None] | None = None) -> Iterator[None]:
    """Hold a lock file; say so if another process has it, and wait.

    Args:
        path: The lock; its folder is made.
        note: Told about the wait.

    Raises:
        DiskError: The lock cannot be made.
    """
    from filelock import FileLock, Timeout

    lock = FileLock(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            if note:
                note(f"waiting for another process that fetches {path.stem[:24]}")
            lock.acquire()
    except OSError as error:
        raise disk_error(error, str(path)) from error
    try:
        yield
    finally:
        lock.release()


def temporary_beside(target: Path) -> Path:
    """An empty file of our own in the target's folder, with the user's usual permissions.

    Raises:
        DiskError: The disk refuses.
    """
    temporary = target.with_name(f".{target.name}.{uuid.uuid4().hex[:8]}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        temporary.open("xb").close()
    except OSError as error:
        raise disk_error(error, str(target)) from error
    return temporary


def copy_file(source: Path, target: Path) -> None:
    """Copy a file so that the target is there whole or not at all.

    Raises:
        DiskError: The disk refuses.
    """
    temporary = temporary_beside(target)
    try:
        shutil.copyfile(source, temporary)
        move_into_place(temporary, target)
    except OSError as error:
        raise disk_error(error, str(target)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(target: Path, data: bytes) -> None:
    """Write a small file so that it is there whole or not at all.

    Raises:
        DiskError: The disk refuses.
    """
    temporary = temporary_beside(target)
    try:
        temporary.write_bytes(data)
        move_into_place(temporary, target)
    except OSError as error:
        raise disk_error(error, str(target)) from error
    finally:
        temporary.unlink(missing_ok=True)


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        HubError: It is not readable or is not an object.
    """
    try:
        data = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError) as error:
        raise HubError(f"{path.name} is not readable JSON: {error}") from error
    if not isinstance(data, dict):
        raise HubError(f"{path.name} is not a JSON object")
    return data
