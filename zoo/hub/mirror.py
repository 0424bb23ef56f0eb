"""``zoo mirror``: weights carried to machines without a network, as a plain folder.

::

    DIR/registry.toml       an overlay: ZOO_REGISTRY=DIR/registry.toml uses models' weights in place
    DIR/mirror.json         what is in it: source, commit, digests
    DIR/files/...           safetensors files (and the small files of Hub repositories)

``zoo mirror --from DIR`` puts the content into the caches instead, verified, as if it had been
pulled there; for ``hub:`` references it is the only way, since they mean the Hub's cache.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from zoo.core import names
from zoo.core.manifest import SCHEMA
from zoo.errors import DiskError, HubError, UsageError
from zoo.hub import cache, store, trust
from zoo.hub.address import Address, is_commit, parse_address, without_secrets
from zoo.hub.cache import Entry
from zoo.hub.files import (
    copy_file,
    digest_like,
    read_json,
    write_atomically,
)
from zoo.hub.ways import ways_to

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from zoo.core.registry import Registry
    from zoo.hub.stream import Progress

INDEX: Final = "mirror.json"
SMALL: Final = ("config.json", "preprocessor_config.json", "README.md")


@dataclass(frozen=True, slots=True, kw_only=True)
class Item:
    """One file of a mirror.

    Attributes:
        reference: What it belongs to: ``resnet18:imagenet1k_v1`` or ``hub:org/repo@rev``.
        kind: ``weights`` (zoo's own cache) or ``hub`` (a file of a repository).
        path: Path inside the mirror.
        digest: Git blob sha1 or sha256.
        bytes: Its size.
        source: Where it came from, without a signature.
        repo: Repository, where it is from the Hub.
        commit: Commit, where it is from the Hub.
        file: File inside the repository, where it is from the Hub.
        origin_sha256: Digest of what it was converted from.
        licence: Licence, if stated.
        stored: Its name in zoo's own cache, where the source does not tell it.
    """

    reference: str
    kind: str
    path: str
    digest: str
    bytes: int
    source: str
    repo: str = ""
    commit: str = ""
    file: str = ""
    origin_sha256: str = ""
    licence: str = ""
    stored: str = ""

    def entry(self) -> dict[str, Any]:
        """What the index says of it; older readers know no name in the cache."""
        return {k: v for k, v in asdict(self).items() if k != "stored" or v}


def write_mirror(
    references: Sequence[str],
    folder: Path,
    registry: Registry,
    *,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> list[Item]:
    """Fetch references and copy them to a folder; what the folder has already stays.

    Args:
        references: Models, ``model:tag`` or ``hub:org/repo[@revision]``.
        folder: The mirror; made if it is not there.
        registry: Where names are looked up.
        progress: Called with (bytes so far, total or ``None``).
        note: Told about waits and retries.

    Raises:
        HubError: Something cannot be fetched.
        DiskError: The folder cannot be written.
    """
    made: list[Item] = []
    for reference in references:
        if reference.startswith("hub:"):
            made += _hub_items(reference, folder, registry, progress, note)
        else:
            made.append(_weights_item(reference, folder, registry, progress, note))
    items = {(i.reference, i.path): i for i in (*_read_index(folder), *made)}
    index = {"schema": SCHEMA, "items": [item.entry() for item in items.values()]}
    write_atomically(folder / INDEX, json.dumps(index, indent=1, sort_keys=True).encode())
    write_atomically(folder / "registry.toml", _overlay(items.values()).encode())
    return made


def _weights_item(
    reference: str,
    folder: Path,
    registry: Registry,
    progress: Progress | None,
    note: Callable[[str], None] | None,
) -> Item:
    from zoo.hub.fetch import fetch_weights
    from zoo.hub.get import find_weights

    parsed = names.parse(reference)
    if parsed.source:
        raise UsageError(f"{reference!r} is here already", hint="zoo mirror MODEL | hub:ORG/REPO")
    spec = registry.model(parsed.qualified)
    weights = find_weights(spec, parsed.weights)
    got = fetch_weights(
        weights, model=spec.qualified, progress=progress, note=note, ways=ways_to(spec.qualified)
    )
    inside = f"files/{spec.qualified.replace('/', '--')}/{weights.name}.safetensors"
    _copy(got.path, folder / inside, got.sha256)
    return Item(
        reference=f"{spec.qualified}:{weights.name}",
        kind="weights",
        path=inside,
        digest=got.sha256,
        bytes=got.path.stat().st_size,
        source=without_secrets(weights.source),
        stored="" if without_secrets(weights.source) == weights.source else got.path.name,
        repo=parse_address(weights.source).repo if got.revision else "",
        commit=got.revision,
        file=got.file if got.revision else "",
        origin_sha256=got.origin_sha256,
        licence=weights.licence,
    )


def _hub_items(
    reference: str,
    folder: Path,
    registry: Registry,
    progress: Progress | None,
    note: Callable[[str], None] | None,
) -> list[Item]:
    from zoo.hub.pull import pull_file
    from zoo.hub.repo import open_repo
    from zoo.hub.shards import shard_names
    from zoo.hub.weights import weights_file

    address = parse_address(reference)
    pin = registry.pins.get(reference)
    repo = open_repo(Address(address.repo, pin.revision) if pin else address, note=note)
    wanted = [weights_file(repo, pin.file if pin else ""), *(f for f in SMALL if f in repo.files)]
    if wanted[0].endswith(".index.json"):
        wanted += shard_names(read_json(pull_file(repo, wanted[0], note=note)), wanted[0])
    made = []
    for name in wanted:
        path = pull_file(repo, name, progress=progress, note=note)
        digest = cache.cached_entries(repo.name, repo.commit)[name].digest
        inside = f"files/{repo.name.replace('/', '--')}/{repo.commit}/{name}"
        _copy(path, folder / inside, digest)
        made.append(
            Item(
                reference=reference,
                kind="hub",
                path=inside,
                digest=digest,
                bytes=path.stat().st_size,
                source=str(address),
                repo=repo.name,
                commit=repo.commit,
                file=name,
                licence=repo.licence,
            )
        )
    return made


def _copy(source: Path, target: Path, digest: str) -> None:
    """Copy a verified file; one that is there already and whole is left."""
    if target.is_file() and digest_like(target, digest) == digest:
        return
    copy_file(source, target)
    if digest_like(target, digest) != digest:
        target.unlink(missing_ok=True)
        raise DiskError(f"{target} was not written as it was read", hint="check the disk")


def _read_index(folder: Path) -> list[Item]:
    if not (folder / INDEX).is_file():
        return []
    try:
        items = [Item(**entry) for entry in read_json(folder / INDEX)["items"]]
        for item in items:
            _check(item)
    except (KeyError, TypeError, ValueError, UsageError) as error:
        raise HubError(f"{folder / INDEX} is not a mirror's index") from error
    return items


def _check(item: Item) -> None:
    """Refuse an index that would lead out of the mirror or out of the cache."""
    if len(item.digest) not in (40, 64) or int(item.digest, 16) < 0:
        raise ValueError(item.digest)
    for inside in (item.path, item.file):
        if ".." in Path(inside).parts or Path(inside).is_absolute():
            raise ValueError(inside)
    if item.stored != Path(item.stored).name:
        raise ValueError(item.stored)
    if item.repo and not (parse_address(item.repo).repo == item.repo and is_commit(item.commit)):
        raise ValueError(item.repo)


def _overlay(items: Collection[Item]) -> str:
    """A registry overlay whose ``file:`` sources are relative to the folder."""
    import tomlkit

    document = tomlkit.document()
    document.add(tomlkit.comment("Made by zoo mirror. Use it in place: ZOO_REGISTRY=THIS_FILE"))
    if any(item.kind == "hub" for item in items):
        said = "hub: references are not in this file: zoo mirror --from THIS_FOLDER takes them."
        document.add(tomlkit.comment(said))
    document["schema"] = SCHEMA
    models: dict[str, Any] = {}
    for item in items:
        if item.kind != "weights":
            continue
        parsed = names.parse(item.reference)
        entry = tomlkit.table()
        entry["name"] = parsed.weights
        entry["source"] = f"file:{item.path}"
        entry["format"] = "safetensors"
        entry["sha256"] = item.digest
        entry["bytes"] = item.bytes
        models.setdefault(parsed.qualified, tomlkit.aot()).append(entry)
    if models:
        array = tomlkit.aot()
        for name, weights in models.items():
            table = tomlkit.table()
            table["name"] = name
            table["weights"] = weights
            array.append(table)
        document["model"] = array
    return tomlkit.dumps(document)


def read_mirror(folder: Path, wanted: Sequence[str] = ()) -> list[Item]:
    """Put a mirror's content into this machine's caches, as if it had been pulled.

    Args:
        folder: A folder that :func:`write_mirror` made.
        wanted: References to take; empty = everything.

    Raises:
        HubError: It is no mirror, has no such reference, or a file in it is damaged.
        DiskError: The caches cannot be written.
    """
    items = _read_index(folder)
    if not items:
        raise HubError(f"{folder} is no mirror", hint="zoo mirror MODEL --to DIR makes one")
    chosen = [i for i in items if not wanted or any(_means(w, i.reference) for w in wanted)]
    missing = [w for w in wanted if not any(_means(w, i.reference) for i in items)]
    if missing:
        has = ", ".join(dict.fromkeys(i.reference for i in items))
        raise HubError(f"the mirror has no {', '.join(missing)}", hint=f"it has {has}")
    for item in chosen:
        path = folder / item.path
        if not path.resolve().is_relative_to(folder.resolve()) or not path.is_file():
            raise HubError(f"{folder}: {item.path} is missing")
        if digest_like(path, item.digest) != item.digest:
            raise HubError(f"{path} is damaged", hint="make the mirror again")
        _take_hub(path, item) if item.repo else _take_weights(path, item)
    return chosen


def _means(wanted: str, reference: str) -> bool:
    return reference in (wanted, f"{wanted}:{reference.rpartition(':')[2]}")


def _take_weights(path: Path, item: Item) -> None:
    from zoo.hub.fetch import converted_path

    kind, _, url = item.source.partition(":")
    if kind != "url":
        raise HubError(
            f"{item.reference} comes from {item.source}", hint="use the folder's registry.toml"
        )
    target = store.folder() / item.stored if item.stored else converted_path(url)
    _copy(path, target, item.digest)
    store.keep(target, source=item.source, origin=item.origin_sha256 or item.digest)


def _take_hub(path: Path, item: Item) -> None:
    blob = cache.blob_path(item.repo, item.digest)
    _copy(path, blob, item.digest)
    trust.remember(blob, item.digest)
    cache.link(item.repo, item.commit, item.file, item.digest)
    _, _, revision = item.source.partition("@")
    cache.write_ref(item.repo, revision or "main", item.commit)
    cache.note_pull(
        item.repo,
        item.commit,
        endpoint="",
        revision=revision or "main",
        licence=item.licence,
        entry=Entry(path=item.file, size=item.bytes, digest=item.digest),
    )
