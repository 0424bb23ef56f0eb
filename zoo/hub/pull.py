"""Files of a repository, verified, in the standard cache; and the header before the file.

Large files are compared with their sha256, small ones with their git blob sha1. A damaged body
is removed and fetched once more; after that it is an error.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zoo.core.metadata import MAX_HEADER, Header, foreign_kind, parse_header, read_header
from zoo.errors import CheckpointError, HubError
from zoo.hub import cache, client, trust
from zoo.hub.cache import Entry
from zoo.hub.endpoint import endpoint
from zoo.hub.failures import damaged, damaged_here, offline_error, translated
from zoo.hub.files import git_blob_sha1, hold
from zoo.hub.repo import Repo, patiently
from zoo.hub.stream import PARTIAL, Location, download

if TYPE_CHECKING:
    from zoo.hub.repo import Note
    from zoo.hub.stream import Progress
    from zoo.hub.subject import Subject

PEEK: Final = 100_000
"""Bytes of the first range request: the header of nearly every image model fits."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Pulled:
    """A weights file of a repository, verified.

    Attributes:
        path: A safetensors file.
        sha256: Its digest.
        file: File inside the repository.
        origin_sha256: Digest of the pickle or the index that it was made from, or empty.
        parts: Files inside the repository that it was made of.
    """

    path: Path
    sha256: str
    file: str
    origin_sha256: str = ""
    parts: tuple[str, ...] = ()


def locate(repo: Repo, path: str) -> tuple[Location, str]:
    """Where a file's bytes are now, and their digest as the Hub states it.

    The token goes along only where the bytes come from the Hub itself.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url

    url = hf_hub_url(repo.name, path, revision=repo.commit, endpoint=endpoint())
    told = get_hf_file_metadata(
        url,
        token=client.token_for(url),
        timeout=client.timeout(),  # type: ignore[arg-type]
        headers=client.headers(url),
    )
    entry = repo.files.get(path)
    size = told.size if told.size is not None else (entry.size if entry else None)
    digest = (entry.digest if entry else "") or told.etag or ""
    return Location(told.location, client.headers(told.location), size), digest


def pull_file(
    repo: Repo,
    path: str,
    *,
    progress: Progress | None = None,
    note: Note | None = None,
    wanted: str = "",
) -> Path:
    """A file of the repository in the standard cache, verified.

    Args:
        repo: The repository at its commit.
        path: File inside the repository.
        progress: Called with (bytes so far, total).
        note: Told about waits and retries.
        wanted: Digest that it must have (a lock entry); empty = whatever the Hub states.

    Raises:
        HubError: Not there, damaged twice, another digest than ``wanted``, not reachable, or
            damaged without a network.
        DiskError: No room or no permission.
    """
    entry = repo.files.get(path)
    subject = repo.subject(path)
    if entry is None:
        listed = ", ".join(subject.known) or "nothing"
        raise HubError(
            f"{repo.name} has no file {path!r} at {repo.commit[:12]}", hint=f"it has {listed}"
        )
    if wanted and entry.digest and not entry.digest.startswith(wanted):
        raise HubError(
            f"{repo.name}: {path} is not the file that was named: "
            f"{entry.digest[:12]}…, not {wanted[:12]}…",
            hint="the revision moved or the pin is wrong: zoo lock pins what is there now",
        )
    ready = _good_copy(repo, path, entry.digest or wanted)
    if ready is not None:
        if repo.online and repo.address.pinned:
            _note(repo, entry)
        return ready
    if not repo.online:
        raise offline_error(f"{path} of {repo.name} is not in the cache", hint=repo.ways)
    return _download(repo, entry, subject, progress, note)


def _good_copy(repo: Repo, path: str, digest: str) -> Path | None:
    """The cached file if its digest holds; a damaged one is removed, if it can be fetched again.

    Raises:
        DamagedError: It is damaged and there is no Hub to fetch it from.
        DiskError: It is damaged and cannot be removed.
    """
    found = cache.cached_file(repo.name, repo.commit, path)
    blob = cache.blob_path(repo.name, digest) if digest else None
    if found is None and blob is not None and blob.is_file():
        if not trust.holds(blob, digest):
            _drop(repo, blob)
            return None
        found = cache.link(repo.name, repo.commit, path, digest)
    if found is None or not digest or trust.holds(found, digest):
        return found
    _drop(repo, found)
    if blob is not None:
        _drop(repo, blob)
    return None


def _drop(repo: Repo, path: Path) -> None:
    if not repo.online:
        raise damaged_here(path)
    cache.remove_blob(path)


def _download(
    repo: Repo, entry: Entry, subject: Subject, progress: Progress | None, note: Note | None
) -> Path:
    """Stream into ``blobs``, verify, link; a damaged body is fetched once more."""
    with translated(subject):
        first, digest = patiently(lambda: locate(repo, entry.path), note=note)
    if len(digest) not in (40, 64):
        raise HubError(
            f"{repo.endpoint} states no digest for {entry.path}", hint="check HF_ENDPOINT"
        )
    waiting = [first]
    blob = cache.blob_path(repo.name, digest)
    partial = blob.with_name(blob.name + PARTIAL)
    lock = cache.lock_path(repo.name, digest)
    with translated(subject):
        blob.parent.mkdir(parents=True, exist_ok=True)
    with hold(lock, note=note):
        for _ in range(2):
            if blob.is_file() and trust.holds(blob, digest):
                break  # another process was faster
            found = download(
                lambda: waiting.pop() if waiting else locate(repo, entry.path)[0],
                partial,
                subject=subject,
                progress=progress,
                note=note,
            )
            if _matches(partial, found, digest):
                partial.replace(blob)
                trust.remember(blob, digest)
                break
            partial.unlink(missing_ok=True)
            if note:
                note(f"{entry.path}: damaged download removed, fetching it once more")
        else:
            raise damaged(entry.path, repo.name)
    return _register(repo, Entry(path=entry.path, size=blob.stat().st_size, digest=digest))


def _matches(partial: Path, sha256: str, digest: str) -> bool:
    if len(digest) == 64:
        return sha256 == digest
    return git_blob_sha1(partial) == digest


def _register(repo: Repo, entry: Entry) -> Path:
    placed = cache.link(repo.name, repo.commit, entry.path, entry.digest)
    cache.write_ref(repo.name, repo.address.revision, repo.commit)
    _note(repo, entry)
    return placed


def _note(repo: Repo, entry: Entry) -> None:
    cache.note_pull(
        repo.name,
        repo.commit,
        endpoint=repo.endpoint,
        revision=repo.address.revision or "main",
        licence=repo.licence,
        entry=entry,
    )


def remote_header(repo: Repo, path: str, *, note: Note | None = None) -> Header:
    """A safetensors file's header, read before the file: about 100 kB over the network.

    Args:
        repo: The repository at its commit.
        path: A safetensors file in it.
        note: Told about waits.

    Raises:
        HubError: Not there, not reachable, or damaged here without a network.
        CheckpointError: It is not a safetensors file.
    """
    local = cache.cached_file(repo.name, repo.commit, path)
    if local is not None:
        try:
            return read_header(local)
        except CheckpointError:
            entry = repo.files.get(path)
            if _good_copy(repo, path, entry.digest if entry else "") is not None:
                raise  # it is what the Hub has
    if not repo.online:
        raise offline_error(f"{path} of {repo.name} is not in the cache", hint=repo.ways)
    with translated(repo.subject(path)):
        where = patiently(lambda: locate(repo, path), note=note)[0]
        try:
            return _header_at(where, f"{repo.name}/{path}", note)
        except CheckpointError:  # these bytes have no digest to be checked by: look twice
            return _header_at(where, f"{repo.name}/{path}", note)


def _header_at(where: Location, name: str, note: Note | None) -> Header:
    if where.size == 0:
        raise CheckpointError(f"{name} is empty, not a safetensors file")
    start = patiently(lambda: _peek(where, PEEK), note=note)
    kind = foreign_kind(start[:128])
    if kind:
        raise CheckpointError(f"{name} is {kind}, not a safetensors file")
    length = int.from_bytes(start[:8], "little")
    if len(start) < 8 or length > (where.size or 0) - 8 or length > MAX_HEADER:
        raise CheckpointError(f"{name} is truncated or not a safetensors file")
    if len(start) < 8 + length:
        start = patiently(lambda: _peek(where, 8 + length), note=note)
    return parse_header(start[8 : 8 + length], name=name)


def _peek(where: Location, count: int) -> bytes:
    """The first ``count`` bytes; a server without ranges is read no further than that."""
    from huggingface_hub.utils import hf_raise_for_status  # type: ignore[attr-defined]

    asked = {**where.headers, "accept-encoding": "identity", "range": f"bytes=0-{count - 1}"}
    with client.session().stream(
        "GET", where.url, headers=asked, timeout=client.timeout(), follow_redirects=True
    ) as answer:
        hf_raise_for_status(answer)
        start = b""
        for block in answer.iter_raw():
            start += block
            if len(start) >= count:
                break
    return start[:count]
