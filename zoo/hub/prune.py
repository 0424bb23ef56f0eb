"""What zoo has stored, and taking it away: downloads, converted files, half downloads, notes.

Of the Hub client's cache only what zoo pulled itself is counted as zoo's; other tools' files are
left alone.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import time
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal

from zoo.core import registry, settings
from zoo.errors import DiskError
from zoo.hub import cache, store
from zoo.hub.client import hub_cache
from zoo.hub.stream import PARTIAL

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

Kind = Literal["weights", "hub", "partial", "frozen", "other"]
LOCK: Final = ".lock"
"""In a folder of kept outputs: what a run holds while it has them open."""


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
        current: Whether a branch, a tag or a pin still means it, or it was asked for by its commit
            (``hub``).
    """

    name: str
    kind: Kind
    bytes: int
    age_days: float
    paths: tuple[Path, ...]
    current: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Removed:
    """What a prune did.

    Attributes:
        bytes: What it freed.
        entries: How many entries are gone.
        used: Names of what stayed because another process uses it.
        refused: Why others could not be deleted.
    """

    bytes: int
    entries: int
    used: tuple[str, ...] = ()
    refused: tuple[DiskError, ...] = ()


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
    pinned = functools.cache(_pinned)  # once, and only where it is asked for
    for folder in sorted((settings.cache_dir() / "pulls").glob("models--*")):
        for record in sorted(folder.glob("*.json")):
            repo = folder.name.removeprefix("models--").replace("--", "/", 1)
            snapshot = cache.repo_folder(repo) / "snapshots" / record.stem
            files = [p for p in snapshot.rglob("*") if p.is_file()] if snapshot.is_dir() else []
            others = _blobs_of_others(repo, record.stem)
            blobs = tuple(p.resolve() for p in files if p.resolve() not in others)
            made = _stored(f"{repo}@{record.stem[:12]}", "hub", (*blobs, snapshot, record))
            yield Stored(
                name=made.name,
                kind="hub",
                bytes=sum(b.stat().st_size for b in blobs),
                age_days=made.age_days,
                paths=made.paths,
                current=_current(repo, record.stem, pinned),
            )


def _current(repo: str, commit: str, pinned: Callable[[], dict[str, set[str]]]) -> bool:
    """Whether anything still means a commit."""
    on_purpose = cache.pull_record(repo, commit).get("revision") == commit
    named = commit in cache.cached_revisions(repo).values()
    return on_purpose or named or commit in pinned().get(repo, ())


def _pinned() -> dict[str, set[str]]:
    """Repository -> the commits at which the overlays hold it."""
    known = registry.load()
    sources = [(pin.source, pin.revision) for pin in known.pins.values()]
    models = known.shelf("model").values()
    weights = (w for spec in models for w in getattr(spec, "weights", ()))
    sources += [(w.source, w.revision) for w in weights if w.source.startswith("hub:")]
    found: dict[str, set[str]] = {}
    for source, revision in sources:
        repo, _, declared = source.removeprefix("hub:").partition("@")
        found.setdefault(repo, set()).add(revision or declared)
    return found


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
    stats = [f.stat() for f in _files(paths)]
    newest = max((max(s.st_mtime, s.st_atime) for s in stats), default=time.time())
    return Stored(
        name=name,
        kind=kind,
        bytes=sum(s.st_size for s in stats),
        age_days=max(0.0, (time.time() - newest) / 86400),
        paths=paths,
    )


def _files(paths: Iterable[Path]) -> list[Path]:
    files = [f for p in paths if p.exists() for f in (p.rglob("*") if p.is_dir() else (p,))]
    return [f for f in files if f.is_file()]


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
        names: Words in a name; empty = the usual: half downloads, and commits that no branch,
            tag or pin means any more.
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


def remove(chosen: Sequence[Stored]) -> Removed:
    """Delete what was chosen; what is gone already is no error, what another process uses stays."""
    freed, gone = 0, 0
    used: list[str] = []
    refused: list[DiskError] = []
    for item in chosen:
        try:
            with _unused(item) as free:
                if free:
                    _delete(item)
                else:
                    used.append(item.name)
        except OSError as error:
            refused.append(_refusal(error, item))
        left = sum(f.stat().st_size for f in _files(item.paths))
        freed += max(0, item.bytes - left)
        gone += not any(os.path.lexists(path) for path in item.paths)
    return Removed(bytes=freed, entries=gone, used=tuple(used), refused=tuple(refused))


@contextmanager
def _unused(item: Stored) -> Iterator[bool]:
    """Keep other processes from using something; ``False`` if one does so already.

    Raises:
        OSError: The lock cannot be taken.
    """
    from filelock import FileLock, Timeout

    path = _lock_of(item)
    if path is None or not item.paths[0].exists():
        yield True
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    lock = FileLock(path, timeout=0)
    try:
        lock.acquire()
    except Timeout:
        yield False
        return
    try:
        yield True
    finally:
        lock.release()


def _lock_of(item: Stored) -> Path | None:
    """The lock that a process holds while it uses or writes something."""
    path = item.paths[0]
    if item.kind == "frozen":
        return path / LOCK
    if item.kind != "partial":
        return None
    name = path.name.removesuffix(PARTIAL)
    if path.is_relative_to(store.folder()):
        return path.with_name(Path(name).stem + ".safetensors.lock")
    return cache.lock_path(path.parent.parent.name.removeprefix("models--"), name)


def _delete(item: Stored) -> None:
    """Delete under the lock, the lock itself last: who comes now finds an empty folder.

    Raises:
        OSError: Something cannot be deleted.
    """
    for path in item.paths:
        if item.kind == "frozen" and path.is_dir():
            for inside in path.iterdir():
                if inside.name != LOCK:
                    _take_away(inside)
            _take_away(path / LOCK)
            with contextlib.suppress(OSError):  # a run has just come: the folder is its own now
                path.rmdir()
        else:
            _take_away(path)


def _take_away(path: Path) -> None:
    with contextlib.suppress(FileNotFoundError):  # somebody else was faster
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _refusal(error: OSError, item: Stored) -> DiskError:
    path = error.filename or item.paths[0]
    return DiskError(
        f"cannot remove {path}: {error.strerror or error}",
        hint="this cache cannot be written: HF_HOME and ZOO_CACHE name another",
    )
