"""What zoo has stored, and taking it away: downloads, converted files, half downloads, notes.

Of the Hub client's cache only what zoo pulled itself is counted as zoo's; other tools' files are
left alone.
"""

from __future__ import annotations

import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from zoo.core import settings
from zoo.hub import cache, store
from zoo.hub.client import hub_cache
from zoo.hub.stream import PARTIAL

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

Kind = Literal["weights", "hub", "partial", "frozen", "other"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Stored:
    """One thing on the disk.

    Attributes:
        name: What it is.
        kind: ``weights`` (from a URL), ``hub`` (one commit of a repository), ``partial`` (half a
            download), ``frozen`` (kept outputs of a model's frozen part), ``other`` (a folder of
            another room's cache).
        bytes: What removing it would free.
        age_days: Days since it was last written or read.
        paths: What is removed with it.
        current: Whether a branch or tag still means it (``hub``).
    """

    name: str
    kind: Kind
    bytes: int
    age_days: float
    paths: tuple[Path, ...]
    current: bool = True


def inventory() -> list[Stored]:
    """Everything that zoo has stored, largest first."""
    found = [*_weights(), *_partials(), *_hub(), *_frozen(), *_others()]
    return sorted(found, key=lambda item: -item.bytes)


def _weights() -> Iterator[Stored]:
    for path in store.stored():
        paths = (path, store.record_path(path))
        yield _stored(path.name, "weights", paths)


def _partials() -> Iterator[Stored]:
    for folder in (store.folder(), hub_cache()):
        for path in sorted(folder.rglob(f"*{PARTIAL}")) if folder.is_dir() else ():
            yield _stored(path.name.removesuffix(PARTIAL)[:24], "partial", (path,))


def _hub() -> Iterator[Stored]:
    """One entry a commit that zoo pulled; blobs that another commit needs are not counted."""
    for folder in sorted((settings.cache_dir() / "pulls").glob("models--*")):
        for record in sorted(folder.glob("*.json")):
            repo = folder.name.removeprefix("models--").replace("--", "/", 1)
            snapshot = cache.repo_folder(repo) / "snapshots" / record.stem
            files = [p for p in snapshot.rglob("*") if p.is_file()] if snapshot.is_dir() else []
            others = _blobs_of_others(repo, record.stem)
            blobs = tuple(p.resolve() for p in files if p.resolve() not in others)
            refs = cache.cached_revisions(repo)
            made = _stored(f"{repo}@{record.stem[:12]}", "hub", (*blobs, snapshot, record))
            yield Stored(
                name=made.name,
                kind="hub",
                bytes=sum(b.stat().st_size for b in blobs),
                age_days=made.age_days,
                paths=made.paths,
                current=record.stem in refs.values(),
            )


def _blobs_of_others(repo: str, commit: str) -> set[Path]:
    snapshots = cache.repo_folder(repo) / "snapshots"
    rest = (s for s in snapshots.iterdir() if s.name != commit) if snapshots.is_dir() else ()
    return {p.resolve() for s in rest for p in s.rglob("*") if p.is_file()}


def _frozen() -> Iterator[Stored]:
    root = settings.cache_dir() / "prefix"
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if folder.is_dir():
            yield _stored(f"prefix/{folder.name[:12]}", "frozen", (folder,))


def _others() -> Iterator[Stored]:
    root = settings.cache_dir()
    known = {"weights", "pulls", "verified", "prefix"}
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        if folder.is_dir() and folder.name not in known:
            yield _stored(f"{folder.name}/", "other", (folder,))


def _stored(name: str, kind: Kind, paths: tuple[Path, ...]) -> Stored:
    files = [f for p in paths if p.exists() for f in (p.rglob("*") if p.is_dir() else (p,))]
    stats = [f.stat() for f in files if f.is_file()]
    newest = max((max(s.st_mtime, s.st_atime) for s in stats), default=time.time())
    return Stored(
        name=name,
        kind=kind,
        bytes=sum(s.st_size for s in stats),
        age_days=max(0.0, (time.time() - newest) / 86400),
        paths=paths,
    )


def choose(
    found: Sequence[Stored],
    *,
    names: Sequence[str] = (),
    older_than: float | None = None,
    everything: bool = False,
) -> list[Stored]:
    """What a prune takes.

    Args:
        found: What :func:`inventory` gave.
        names: Words in a name; empty = the usual: half downloads, and commits that no branch or
            tag means any more.
        older_than: Only what was not touched for so many days.
        everything: Take all of it.
    """
    old = [f for f in found if older_than is None or f.age_days >= older_than]
    if names:
        return [f for f in old if any(word in f.name for word in names)]
    if everything:
        return old
    stale = older_than is not None
    return [f for f in old if f.kind == "partial" or not f.current or (stale and f.kind != "other")]


def remove(chosen: Sequence[Stored]) -> int:
    """Delete what was chosen; what is gone already is no error, what a run has open stays.

    Returns:
        The bytes that it held.
    """
    freed = 0
    for item in chosen:
        if item.kind == "frozen" and _open(item.paths[0]):
            continue
        for path in item.paths:
            if path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        freed += item.bytes
    return freed


def _open(folder: Path) -> bool:
    """Whether a run has kept outputs of a frozen part open."""
    from filelock import FileLock, Timeout

    try:
        with FileLock(folder / ".lock", timeout=0):
            return False
    except (Timeout, OSError):
        return folder.is_dir()
