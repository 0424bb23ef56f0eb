"""The standard cache of the Hub client, read and written as every other tool expects it.

``models--org--name/{blobs,refs,snapshots/<commit>}``: a snapshot's entries link to blobs named
by their digest. What zoo pulls is recorded under ``<zoo cache>/pulls`` too (digest, size,
endpoint of each file), so that verifying needs no network.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core import settings
from zoo.errors import DiskError, HubError
from zoo.hub.address import is_commit
from zoo.hub.client import hub_cache
from zoo.hub.failures import disk_error
from zoo.hub.files import discard, read_json, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One file of a repository at a commit.

    Attributes:
        path: Path inside the repository.
        size: Bytes, if known.
        digest: sha256 (large files) or git blob sha1; empty = unknown.
    """

    path: str
    size: int | None = None
    digest: str = ""


def repo_folder(repo: str) -> Path:
    """Where a repository lies in the standard cache."""
    return hub_cache() / ("models--" + repo.replace("/", "--"))


def cached_repos() -> tuple[str, ...]:
    """Ids of all model repositories in the cache."""
    names = (f.name for f in _folders(hub_cache()) if f.name.startswith("models--"))
    return tuple(sorted(name.removeprefix("models--").replace("--", "/", 1) for name in names))


def cached_revisions(repo: str) -> dict[str, str]:
    """Names of a repository that are known here, branch or tag -> commit."""
    refs = repo_folder(repo) / "refs"
    found = {}
    for path in sorted(refs.rglob("*")) if refs.is_dir() else ():
        if path.is_file():
            found[path.relative_to(refs).as_posix()] = path.read_text("utf-8").strip()
    return found


def cached_commits(repo: str) -> tuple[str, ...]:
    """Commits of a repository that have files here, newest first."""
    folders = _folders(repo_folder(repo) / "snapshots")
    dated = sorted(folders, key=lambda f: f.stat().st_mtime, reverse=True)
    return tuple(folder.name for folder in dated)


def resolve_cached(repo: str, revision: str) -> str:
    """The commit that ``revision`` means in the cache; empty if it is not there."""
    wanted = revision or "main"
    commit = wanted if is_commit(wanted) else cached_revisions(repo).get(wanted, "")
    return commit if (repo_folder(repo) / "snapshots" / commit).is_dir() and commit else ""


def cached_file(repo: str, commit: str, path: str) -> Path | None:
    """A file of the cache, or ``None``."""
    found = repo_folder(repo) / "snapshots" / commit / path
    return found if found.is_file() else None


def cached_entries(repo: str, commit: str) -> dict[str, Entry]:
    """The files of a commit that are in the cache, with the digests that are known for them."""
    folder = repo_folder(repo) / "snapshots" / commit
    recorded = {**_tree(repo, commit), **pull_record(repo, commit).get("files", {})}
    entries = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            name = path.relative_to(folder).as_posix()
            digest = str(recorded.get(name, {}).get("digest", "")) or _digest_in_name(path)
            entries[name] = Entry(path=name, size=path.stat().st_size, digest=digest)
    return entries


def _tree(repo: str, commit: str) -> dict[str, Any]:
    """The listing that the Hub client keeps of a commit, if it is there, as zoo records files."""
    path = repo_folder(repo) / "trees" / f"{commit}.json"
    if not path.is_file():
        return {}
    with contextlib.suppress(HubError, AttributeError):
        listed = read_json(path).get("files", {}).items()
        return {n: {"digest": f.get("lfs_sha256") or f.get("blob_id", "")} for n, f in listed}
    return {}


def _digest_in_name(path: Path) -> str:
    """The digest in the name of the blob that a snapshot entry links to (the first link only)."""
    if not path.is_symlink():
        return ""
    name = path.readlink().name
    hexadecimal = all(c in "0123456789abcdef" for c in name)
    return name if hexadecimal and len(name) in (40, 64) else ""


def blob_path(repo: str, digest: str) -> Path:
    """Where the blob with this digest belongs."""
    return repo_folder(repo) / "blobs" / digest


def lock_path(repo: str, digest: str) -> Path:
    """The lock that this client and the Hub's own take while they write a blob."""
    return hub_cache() / ".locks" / repo_folder(repo).name / f"{digest}.lock"


def link(repo: str, commit: str, path: str, digest: str) -> Path:
    """Make the snapshot entry of a blob, relative as the Hub client makes it.

    Raises:
        HubError: The path leaves the snapshot's folder.
        DiskError: The disk refuses.
    """
    folder = repo_folder(repo) / "snapshots" / commit
    entry = folder / path
    if ".." in Path(path).parts or Path(path).is_absolute():
        raise HubError(f"{repo} has a file outside of its own folder: {path!r}")
    blob = blob_path(repo, digest)
    try:
        entry.parent.mkdir(parents=True, exist_ok=True)
        if entry.is_file() and entry.samefile(blob):
            return entry
        entry.unlink(missing_ok=True)
        try:
            entry.symlink_to(os.path.relpath(blob, entry.parent))
        except (OSError, NotImplementedError):
            shutil.copy2(blob, entry)  # no links here (Windows without the right): a copy
    except OSError as error:
        raise disk_error(error, str(entry)) from error
    return entry


def write_ref(repo: str, revision: str, commit: str) -> None:
    """Note which commit a branch or tag means, as the Hub client does; best effort."""
    if is_commit(revision):
        return
    target = repo_folder(repo) / "refs" / (revision or "main")
    with contextlib.suppress(DiskError, OSError):
        if not (target.is_file() and target.read_text("utf-8") == commit):
            write_atomically(target, commit.encode())


def remove_blob(path: Path) -> None:
    """Remove a damaged blob; a link into the shared store goes with what it points at.

    Raises:
        DiskError: It lies where nothing can be changed.
    """
    real = path.resolve()
    discard(path)
    if real != path and real.is_relative_to(hub_cache().resolve()):
        discard(real)


def pull_record_path(repo: str, commit: str) -> Path:
    """Where zoo notes what it pulled of a commit."""
    return settings.cache_dir() / "pulls" / repo_folder(repo).name / f"{commit}.json"


def pull_record(repo: str, commit: str) -> dict[str, Any]:
    """What zoo noted when it pulled: ``endpoint``, ``revision``, ``files``; empty if nothing."""
    path = pull_record_path(repo, commit)
    with contextlib.suppress(HubError):
        return read_json(path) if path.is_file() else {}
    return {}


def note_pull(
    repo: str, commit: str, *, endpoint: str, revision: str, licence: str, entry: Entry
) -> None:
    """Note one verified file of a commit; a read-only zoo cache is no error."""
    record = pull_record(repo, commit) or {"repo": repo, "commit": commit, "files": {}}
    if record.get("revision") == commit:
        revision = commit  # asked for by its commit once: it stays for good
    record.update({"endpoint": endpoint, "revision": revision, "licence": licence})
    record["files"][entry.path] = {"size": entry.size, "digest": entry.digest}
    with contextlib.suppress(DiskError):
        write_atomically(
            pull_record_path(repo, commit), json.dumps(record, indent=1, sort_keys=True).encode()
        )


def _folders(parent: Path) -> Iterator[Path]:
    if parent.is_dir():
        yield from (path for path in parent.iterdir() if path.is_dir())
