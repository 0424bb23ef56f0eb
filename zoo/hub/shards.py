"""Weights in several files made into one safetensors file, byte by byte, without torch.

Sharded repositories are joined and pickles converted into zoo's cache under the digest of what
they came from, so that it happens once.
"""

from __future__ import annotations

import json
import shutil
from typing import TYPE_CHECKING, Any

from zoo.core.metadata import Header, read_header
from zoo.errors import CheckpointError, HubError
from zoo.hub import pull, store
from zoo.hub.failures import disk_error
from zoo.hub.files import (
    move_into_place,
    read_json,
    sha256_file,
    temporary_beside,
)
from zoo.hub.pull import Pulled

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from zoo.hub.repo import Note, Repo
    from zoo.hub.stream import Progress


def pull_joined(
    repo: Repo, index: str, *, progress: Progress | None = None, note: Note | None = None
) -> Pulled:
    """Pull the shards that an index names and join them.

    Raises:
        HubError: A shard is missing, damaged, or not what the index says.
    """
    index_path = pull.pull_file(repo, index, note=note)
    names = shard_names(read_json(index_path), index)
    paths = [pull.pull_file(repo, name, progress=progress, note=note) for name in names]
    digest = sha256_file(index_path)
    target = store.folder() / f"{repo.name.replace('/', '--')}.{digest[:12]}.safetensors"
    found = store.ready(target, digest)
    if not found:
        join(paths, target)
        found = store.keep(target, source=f"hub:{repo.name}@{repo.commit}", origin=digest)
    return Pulled(path=target, sha256=found, file=index, origin_sha256=digest, parts=names)


def shard_names(index: dict[str, Any], label: str) -> tuple[str, ...]:
    """The shards that an index names, each once, in order.

    Raises:
        HubError: The index has no map, or a shard would lie outside of the repository.
    """
    table = index.get("weight_map")
    if not isinstance(table, dict) or not table:
        raise HubError(f"{label} names no shards")
    names = tuple(dict.fromkeys(str(name) for name in table.values()))
    for name in names:
        if name.startswith("/") or ".." in name.split("/") or not name.endswith(".safetensors"):
            raise HubError(f"{label} names {name!r}, which is no file of the repository")
    return names


def join(parts: Sequence[Path], target: Path) -> None:
    """Join safetensors files: one header, then every part's bytes as they are.

    Raises:
        CheckpointError: A part is damaged, or two parts have a tensor of the same name.
        DiskError: The disk refuses.
    """
    table: dict[str, Any] = {}
    metadata: dict[str, str] = {}
    sizes = []
    start = 0
    for path in parts:
        raw, length = _raw_header(path)
        metadata.update(raw.pop("__metadata__", {}))
        for name, entry in raw.items():
            if name in table:
                raise CheckpointError(f"{path.name}: tensor {name!r} is in two shards")
            low, high = entry["data_offsets"]
            table[name] = {**entry, "data_offsets": [low + start, high + start]}
        sizes.append((path, 8 + length))
        start += path.stat().st_size - 8 - length
    _write(table, metadata, sizes, target)


def _raw_header(path: Path) -> tuple[dict[str, Any], int]:
    read_header(path)  # refuses what is damaged or no safetensors file
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        return json.loads(file.read(length)), length


def _write(
    table: dict[str, Any], metadata: dict[str, str], parts: list[tuple[Path, int]], target: Path
) -> None:
    header = json.dumps({"__metadata__": metadata, **table}, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)
    temporary = temporary_beside(target)
    try:
        with temporary.open("wb") as out:
            out.write(len(header).to_bytes(8, "little") + header)
            for path, offset in parts:
                with path.open("rb") as file:
                    file.seek(offset)
                    shutil.copyfileobj(file, out, 1 << 22)
        move_into_place(temporary, target)
    except OSError as error:
        raise disk_error(error, str(target)) from error
    finally:
        temporary.unlink(missing_ok=True)


def converted_path(name: str, origin: str) -> Path:
    """Where a converted pickle lies, whether or not it is there.

    Args:
        name: Its path in the repository.
        origin: Its sha256.
    """
    stem = name.rpartition("/")[2].rpartition(".")[0] or name
    return store.folder() / f"{stem}.{origin[:12]}.safetensors"


def pull_converted(path: Path, name: str, digest: str) -> Pulled:
    """A pickle of a repository as safetensors.

    Args:
        path: The verified pickle.
        name: Its path in the repository.
        digest: Its digest.

    Raises:
        CheckpointError: It holds more than tensors, or is damaged.
    """
    from zoo.hub.convert import convert

    origin = digest if len(digest) == 64 else sha256_file(path)
    target = converted_path(name, origin)
    found = store.ready(target, origin)
    if not found:
        convert(path, target)
        found = store.keep(target, source=name, origin=origin)
    return Pulled(path=target, sha256=found, file=name, origin_sha256=origin)


def joined_header(repo: Repo, index: str, *, note: Note | None = None) -> Header:
    """The headers of all shards as one, before any shard is downloaded.

    Raises:
        HubError: A shard is missing or not reachable.
    """
    index_path = pull.pull_file(repo, index, note=note)
    tensors: dict[str, tuple[str, tuple[int, ...]]] = {}
    metadata: dict[str, str] = {}
    for name in shard_names(read_json(index_path), index):
        if name not in repo.files:
            raise HubError(f"{repo.name}: shard {name} is missing", hint=f"{index} names it")
        header = pull.remote_header(repo, name, note=note)
        tensors.update(header.tensors)
        metadata.update(header.metadata)
    return Header(tensors, metadata)
