"""Weights behind a URL: streamed, compared with the publisher's digest, converted once.

What torchvision has already downloaded for itself is taken from its own cache, if the digest is
right.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zoo.core import settings
from zoo.core.metadata import read_header
from zoo.errors import HubError, UsageError
from zoo.hub import client, store
from zoo.hub.address import host_of, is_loopback, without_secrets
from zoo.hub.failures import damaged, disk_error, offline_error
from zoo.hub.fetched import Fetched
from zoo.hub.files import copy_file, hold, is_pickle, sha256_file
from zoo.hub.stream import PARTIAL, Location, download
from zoo.hub.subject import Subject
from zoo.hub.ways import ways_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.core.specs import WeightsSpec
    from zoo.hub.stream import Progress

CONVERTER: Final = "1"
"""Version of the conversion; a change makes new files beside the old ones."""


def converted_path(url: str) -> Path:
    """Where the converted file of a URL lies, whether or not it is there."""
    stem = Path(url.rsplit("/", 1)[-1].split("?", maxsplit=1)[0]).stem or "weights"
    tail = hashlib.sha256(f"{CONVERTER}:{url}".encode()).hexdigest()[:8]
    return store.folder() / f"{stem}.{tail}.safetensors"


def fetch_url(
    spec: WeightsSpec,
    *,
    model: str,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
    ways: str = "",
) -> Fetched:
    """Bring weights from a URL here, as safetensors.

    Args:
        spec: Its source is ``url:https://...``.
        model: Model that they are for, for messages.
        progress: Called with (bytes so far, total or ``None``).
        note: Told about waits and retries.
        ways: Ways on for the hint; empty = those of a command that trains.

    Raises:
        HubError: Unreachable, offline and not cached, or damaged.
        CheckpointError: The file is no weights file, or holds more than tensors.
        DiskError: No room or no permission.
        UsageError: Not https.
    """
    url = spec.source.removeprefix("url:")
    ways = ways or ways_on(model)
    if not url.startswith("https://") and not (url.startswith("http://") and is_loopback(url)):
        raise UsageError(f"{without_secrets(spec.source)!r}: weights come over https only")
    target = converted_path(url)
    if ready := stored(spec, target, anew=not settings.offline()):
        return ready
    name = url.rsplit("/", 1)[-1].partition("?")[0]
    own = _of_torch(name, spec.sha256)
    if own is None and settings.offline():
        _same_origin(name, target, spec)
        raise offline_error(f"{name} for {model} is not in the cache", hint=ways)
    with hold(target.with_name(target.name + ".lock"), note=note):
        if ready := stored(spec, target):
            return ready  # another process was faster
        if own is not None:
            return keep(spec, own, target, sha256_file(own))
        subject = Subject(repo=model, file=name, ways=ways, host=host_of(url))
        original = target.with_suffix(".download")
        digest = _download(url, original, spec.sha256, subject, progress, note)
        try:
            return keep(spec, original, target, digest)
        finally:
            original.unlink(missing_ok=True)


def _of_torch(name: str, digest: str) -> Path | None:
    """What ``torch.hub`` downloaded of the same name, if it has the digest."""
    path = settings.torch_checkpoints() / name
    good = bool(digest) and path.is_file() and sha256_file(path).startswith(digest)
    return path if good else None


def _download(
    url: str,
    target: Path,
    wanted: str,
    subject: Subject,
    progress: Progress | None,
    note: Callable[[str], None] | None,
) -> str:
    """Download, compare the digest, fetch a damaged file once more."""
    partial = target.with_name(target.name + PARTIAL)
    for _ in range(2):
        found = download(
            lambda: Location(url, client.headers(url)),
            partial,
            subject=subject,
            progress=progress,
            note=note,
        )
        if found.startswith(wanted):
            try:
                partial.replace(target)
            except OSError as error:
                raise disk_error(error, str(target)) from error
            return found
        partial.unlink(missing_ok=True)
        if note:
            note(f"{subject.file}: damaged download removed, fetching it once more")
    raise damaged(subject.file, subject.host)


def _same_origin(name: str, target: Path, spec: WeightsSpec) -> None:
    """Refuse a stored file of the same address that was made from another one than is named."""
    origin = str(store.record_of(target).get("origin_sha256", ""))
    if target.is_file() and origin and not origin.startswith(spec.sha256):
        raise HubError(
            f"{name} in the cache is not the file that was named: "
            f"sha256 {origin[:12]}…, not {spec.sha256[:12]}…",
            hint="pull it where the network is, or correct sha256 in the registry",
        )


def stored(spec: WeightsSpec, target: Path, *, anew: bool = True) -> Fetched | None:
    """The stored file if it is there and still what it was; ``anew`` as in :func:`store.ready`."""
    found = store.ready(target, spec.sha256, anew=anew)
    if not found:
        return None
    origin = str(store.record_of(target)["origin_sha256"])
    return _fetched(spec, target, found, origin)


def keep(spec: WeightsSpec, original: Path, target: Path, digest: str) -> Fetched:
    """Make ``target`` from what was downloaded, and note both digests beside it."""
    notes = () if spec.sha256 else (f"{original.name}: its publisher states no digest",)
    size = original.stat().st_size
    if is_pickle(original):
        from zoo.hub.convert import convert

        convert(original, target)
    else:
        read_header(original)
        copy_file(original, target)
    found = store.keep(target, source=spec.source, origin=digest, origin_bytes=size)
    return _fetched(spec, target, found, digest, notes)


def _fetched(
    spec: WeightsSpec, path: Path, digest: str, origin: str, notes: tuple[str, ...] = ()
) -> Fetched:
    return Fetched(
        path=path,
        sha256=digest,
        source=spec.source,
        origin_sha256=origin,
        licence=spec.licence,
        notes=notes,
    )
