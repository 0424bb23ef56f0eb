"""What a checkpoint says about itself, without what concerns only the machine that made it.

A recipe names folders; on the Hub those are nobody's business. The header is rewritten and the
file's own digest computed again; the tensors' bytes are copied as they are.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final

from zoo.core.metadata import CheckpointInfo, dumps, read_header
from zoo.errors import HubError
from zoo.hub.address import without_secrets
from zoo.hub.failures import disk_error
from zoo.hub.files import move_into_place, temporary_beside

if TYPE_CHECKING:
    from pathlib import Path

PUBLIC_HUB: Final = "https://huggingface.co"
BLANK: Final = "0" * 64
_PATH: Final = re.compile(r"\A(?:(file:|run:)?(?:/|~/|\.\.?/|[A-Za-z]:[\\/]).*[\\/]?)")


def without_paths(value: Any) -> Any:
    """Any nested value with local paths cut to their last part, addresses without signatures.

    Args:
        value: Tables, lists and scalars.
    """
    if isinstance(value, dict):
        return {key: without_paths(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(without_paths(entry) for entry in value)
    if isinstance(value, str) and _PATH.match(value):
        kept = re.split(r"[\\/]", value.rstrip("\\/"))[-1]
        return f"{value.partition(':')[0]}:{kept}" if value[:5] == "file:" else kept
    return without_secrets(value) if isinstance(value, str) else value


def public(info: CheckpointInfo) -> CheckpointInfo:
    """A checkpoint's record without local paths, an own Hub's address and notes on the machine."""
    data = {k: v for k, v in info.data.items() if k not in ("notes", "warnings", "root", "path")}
    hub = info.base.get("endpoint", PUBLIC_HUB)
    base = {k: v for k, v in info.base.items() if k != "endpoint" or hub == PUBLIC_HUB}
    return replace(
        info,
        recipe=without_paths(info.recipe),
        data=without_paths(data),
        base=without_paths(base),
    )


def is_public(info: CheckpointInfo) -> bool:
    """Whether a record may be published as it is."""
    return asdict(public(info)) == asdict(info)


def restamp(source: Path, target: Path, info: CheckpointInfo) -> str:
    """Copy a checkpoint with another record; the digest that it states of itself is made anew.

    Args:
        source: A safetensors file with zoo's record.
        target: The copy.
        info: The new record.

    Returns:
        The digest that the copy states (as :mod:`zoo.engine.saving.tensorfile` defines it).

    Raises:
        CheckpointError: The source is damaged.
        DiskError: The disk refuses.
    """
    header = read_header(source)
    metadata = {**header.metadata, "verify": "sha256", "zoo": dumps(info), "sha256": BLANK}
    temporary = temporary_beside(target)
    digest = hashlib.sha256()
    try:
        with source.open("rb") as old, temporary.open("wb") as new:
            length = int.from_bytes(old.read(8), "little")
            table = json.loads(old.read(length))
            table["__metadata__"] = metadata
            head = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
            head += b" " * (-len(head) % 8)
            mark = 8 + head.index(f'"sha256":"{BLANK}"'.encode()) + len('"sha256":"')
            block = len(head).to_bytes(8, "little") + head
            while block:
                digest.update(block)
                new.write(block)
                block = old.read(1 << 22)
            new.seek(mark)
            new.write(digest.hexdigest().encode())
        move_into_place(temporary, target)
    except OSError as error:
        raise disk_error(error, str(target)) from error
    finally:
        temporary.unlink(missing_ok=True)
    return digest.hexdigest()


def states_itself(path: Path) -> bool | None:
    """Whether a checkpoint has the digest that it states of itself; ``None`` if it states none.

    Raises:
        CheckpointError: It is no safetensors file, or its header is damaged.
        HubError: It cannot be read.
    """
    metadata = read_header(path).metadata
    stated = metadata.get("sha256", "")
    if not stated:
        return False if "verify" in metadata else None
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            start = file.read(8)
            head = file.read(int.from_bytes(start, "little"))
            mark = head.find(f'"sha256":"{stated}"'.encode()) + len('"sha256":"')
            digest.update(start + head[:mark] + BLANK.encode() + head[mark + len(stated) :])
            while block := file.read(1 << 22):
                digest.update(block)
    except OSError as error:
        raise HubError(f"cannot read {path}: {error.strerror or error}") from error
    return digest.hexdigest() == stated
