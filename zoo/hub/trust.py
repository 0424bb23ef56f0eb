"""Which files were hashed already: digest, size and modification time, so that it is paid once.

One small JSON file a digest under ``<zoo cache>/verified``; ``zoo verify`` never believes it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from zoo.core import settings
from zoo.errors import DiskError
from zoo.hub.files import digest_like, write_atomically

if TYPE_CHECKING:
    from pathlib import Path


def holds(path: Path, digest: str) -> bool:
    """Whether ``path`` has this digest; hashed unless it is as it was when it was last hashed.

    Args:
        path: A file that exists.
        digest: Git blob sha1 (40 hex), sha256 (64 hex), or a prefix of a sha256.
    """
    stamp = _stamp(path)
    if _remembered(digest) == stamp:
        return True
    found = digest_like(path, digest)
    if not digest or not found.startswith(digest):
        return False
    remember(path, digest)
    return True


def remember(path: Path, digest: str) -> None:
    """Note that ``path`` was just found to have this digest; a read-only cache is no error."""
    try:
        write_atomically(_record(digest), json.dumps(_stamp(path)).encode())
    except DiskError:
        return


def _stamp(path: Path) -> list[int | str]:
    real = path.resolve()
    state = real.stat()
    return [str(real), state.st_size, state.st_mtime_ns]


def _remembered(digest: str) -> list[int | str] | None:
    try:
        stamp: list[int | str] = json.loads(_record(digest).read_bytes())
    except (OSError, ValueError):
        return None
    return stamp


def _record(digest: str) -> Path:
    return settings.cache_dir() / "verified" / f"{digest}.json"
