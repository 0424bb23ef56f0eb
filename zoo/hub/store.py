"""zoo's own cache of weights: what was downloaded from a URL, converted, or joined.

``<zoo cache>/weights/NAME.safetensors`` with ``NAME.safetensors.json`` beside it, which states
the digest of the file and of what it was made from.
"""

from __future__ import annotations

import contextlib
import json
from typing import TYPE_CHECKING, Any

from zoo.core import settings
from zoo.errors import HubError
from zoo.hub import trust
from zoo.hub.address import without_secrets
from zoo.hub.failures import damaged_here
from zoo.hub.files import discard, read_json, sha256_file, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def folder() -> Path:
    """Where the files lie; not created here."""
    return settings.cache_dir() / "weights"


def record_path(path: Path) -> Path:
    """The record beside a stored file."""
    return path.with_name(path.name + ".json")


def record_of(path: Path) -> dict[str, Any]:
    """What was noted about a stored file; empty if nothing readable is there."""
    with contextlib.suppress(HubError):
        return read_json(record_path(path)) if record_path(path).is_file() else {}
    return {}


def keep(path: Path, *, source: str, origin: str, origin_bytes: int | None = None) -> str:
    """Note what a file just stored was made from.

    Args:
        path: The stored file.
        source: Where it came from, as the registry spells it.
        origin: sha256 of what was downloaded.
        origin_bytes: Its size.

    Returns:
        The sha256 of the stored file.

    Raises:
        DiskError: The disk refuses.
    """
    found = sha256_file(path)
    record = {
        "source": without_secrets(source),
        "origin_sha256": origin,
        "origin_bytes": origin_bytes,
        "sha256": found,
        "bytes": path.stat().st_size,
    }
    write_atomically(record_path(path), json.dumps(record, sort_keys=True).encode())
    trust.remember(path, found)
    return found


def ready(path: Path, origin: str, *, anew: bool = True) -> str:
    """The digest of a stored file if it is there and whole; a damaged one is removed.

    Args:
        path: Where it would be.
        origin: sha256 (or a prefix) of what it must have been made from; empty = anything.
        anew: Whether it can be made anew; if not, a damaged one stays and is an error.

    Raises:
        DamagedError: It is damaged and cannot be made anew.
        DiskError: It is damaged and cannot be removed.
    """
    record = record_of(path)
    digest = str(record.get("sha256", ""))
    made_from = str(record.get("origin_sha256", ""))
    if not path.is_file() or not digest or not made_from.startswith(origin):
        return ""
    if trust.holds(path, digest):
        return digest
    if not anew:
        raise damaged_here(path)
    discard(path)
    return ""


def stored() -> Iterator[Path]:
    """All stored files."""
    if folder().is_dir():
        yield from sorted(folder().glob("*.safetensors"))
