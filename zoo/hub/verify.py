"""``zoo verify``: every cached file hashed again and compared with what it must be. No network.

Nothing that was remembered is believed here: neither times nor sizes, only digests.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from zoo.core.metadata import read_header
from zoo.errors import CheckpointError, HubError
from zoo.hub import cache, store, trust
from zoo.hub.files import digest_like, discard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

State = Literal["ok", "damaged", "unknown"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """One file that was looked at.

    Attributes:
        name: ``org/repo@commit file`` or the stored file's name.
        path: Where it lies.
        state: ``ok``, ``damaged``, or ``unknown`` if nobody states its digest.
        bytes: Its size.
        digest: What it must be.
        detail: What is wrong with it.
    """

    name: str
    path: Path
    state: State
    bytes: int
    digest: str = ""
    detail: str = ""


def verify_cache(
    wanted: Sequence[str] = (), *, looked: Callable[[Checked], None] | None = None
) -> list[Checked]:
    """Hash everything that zoo and the Hub client have cached of models.

    Args:
        wanted: ``hub:org/repo`` references or words in a file's name; empty = everything.
        looked: Told about each file as soon as it is done.
    """
    found: list[Checked] = []
    for one in (*_stored(wanted), *_hub(wanted)):
        found.append(one)
        if looked:
            looked(one)
    return found


def _stored(wanted: Sequence[str]) -> Iterator[Checked]:
    for path in store.stored():
        record = store.record_of(path)
        source = str(record.get("source", ""))
        if wanted and not any(w in path.name or w in source for w in wanted):
            continue
        yield check_file(path, str(record.get("sha256", "")), name=path.name)


def _hub(wanted: Sequence[str]) -> Iterator[Checked]:
    seen: set[Path] = set()
    for repo in cache.cached_repos():
        if wanted and not any(w.removeprefix("hub:").partition("@")[0] in repo for w in wanted):
            continue
        for commit in cache.cached_commits(repo):
            for name, entry in cache.cached_entries(repo, commit).items():
                path = cache.repo_folder(repo) / "snapshots" / commit / name
                if path.resolve() not in seen:
                    seen.add(path.resolve())
                    yield check_file(path, entry.digest, name=f"{repo}@{commit[:12]} {name}")


def check_file(path: Path, digest: str, *, name: str) -> Checked:
    """Hash one file.

    Args:
        path: The file.
        digest: Git blob sha1 or sha256 that it must have; empty = nobody says.
        name: What it is called in the report.
    """
    size = path.stat().st_size
    try:
        found = digest_like(path, digest) if digest else ""
        if path.suffix == ".safetensors":
            read_header(path)
    except (HubError, CheckpointError) as error:
        return Checked(
            name=name, path=path, state="damaged", bytes=size, digest=digest, detail=str(error)
        )
    if digest and found != digest:
        detail = f"its digest is {found[:12]}…, not {digest[:12]}…"
        return Checked(
            name=name, path=path, state="damaged", bytes=size, digest=digest, detail=detail
        )
    if not digest:
        return Checked(
            name=name, path=path, state="unknown", bytes=size, detail="no digest is known"
        )
    trust.remember(path, digest)
    return Checked(name=name, path=path, state="ok", bytes=size, digest=digest)


def remove_damaged(found: Sequence[Checked]) -> list[Path]:
    """Delete what is damaged, so that the next use fetches it again.

    Args:
        found: What :func:`verify_cache` gave.

    Returns:
        What was deleted.

    Raises:
        DiskError: One cannot be deleted.
    """
    gone = []
    for one in found:
        if one.state == "damaged":
            cache.remove_blob(one.path)
            discard(store.record_path(one.path))
            gone.append(one.path)
    return gone
