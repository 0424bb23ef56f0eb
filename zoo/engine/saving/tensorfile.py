"""A safetensors file with a digest of itself, written in one pass.

The format is safetensors' own (8 bytes of header length, a JSON header, the tensors' bytes), so
any safetensors reader opens it. Written here rather than by the library for three reasons: the
digest is computed while writing instead of by reading 50 MB again, equal content gives equal
bytes, and every write goes through :mod:`zoo.engine.saving.atomic`. ``__metadata__["sha256"]`` is the
SHA-256 of the whole file with those 64 characters read as zeros, so a flipped bit anywhere, in a
counter as well as in a weight, is found. ``__metadata__["verify"]`` says that there is a digest,
so that damage to its name is no way around it.
"""

from __future__ import annotations

import hashlib
import json
from typing import IO, TYPE_CHECKING, Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from zoo.core.metadata import MAX_HEADER, read_header
from zoo.engine.saving.atomic import replacing
from zoo.engine.saving.repair import way_back
from zoo.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from torch import Tensor

    from zoo.core.metadata import Header

BLANK = "0" * 64
_SIGNS = {"format": "pt", "verify": "sha256"}
CHUNK = 1 << 22

DTYPES: dict[torch.dtype, str] = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.complex64: "C64",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint64: "U64",
    torch.uint32: "U32",
    torch.uint16: "U16",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
"""What safetensors calls torch's dtypes."""


def write(
    path: Path,
    tensors: Mapping[str, Tensor],
    metadata: Mapping[str, str],
    *,
    staging: Path | None = None,
    new: bool = False,
) -> str:
    """Write tensors and text atomically.

    Args:
        path: The file to make or replace.
        tensors: Name -> tensor of any shape, on any device, in any layout in memory.
        metadata: Free text by key; ``format``, ``verify`` and ``sha256`` are set here.
        staging: Folder for the unfinished file (see :func:`zoo.engine.saving.atomic.replacing`).
        new: Replace nothing (as there).

    Returns:
        The digest, 64 hexadecimal digits.

    Raises:
        TypeError: A tensor is sparse, quantised or of a dtype that safetensors does not have.
        CheckpointError: The header would be larger than the format allows.
        DiskError: The system refused; ``path`` is as it was.
    """
    names = sorted(tensors, key=lambda name: (-tensors[name].element_size(), name))
    header = _header(names, tensors, metadata)
    mark = header.index(f'"sha256":"{BLANK}"'.encode()) + len('"sha256":"')
    digest = hashlib.sha256()
    with replacing(path, staging=staging, new=new) as file:
        for chunk in (len(header).to_bytes(8, "little"), header):
            digest.update(chunk)
            file.write(chunk)
        for name in names:
            view = _bytes(tensors[name])
            digest.update(view)
            file.write(view)
        text = digest.hexdigest()
        file.seek(8 + mark)
        file.write(text.encode())
    return text


def _header(names: list[str], tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bytes:
    table: dict[str, Any] = {"__metadata__": {**_SIGNS, **metadata, "sha256": BLANK}}
    offset = 0
    for name in names:
        tensor = tensors[name]
        if tensor.layout != torch.strided or tensor.is_quantized or tensor.dtype not in DTYPES:
            raise TypeError(f"{name}: {tensor.dtype} {tensor.layout} has no place in safetensors")
        end = offset + tensor.numel() * tensor.element_size()
        table[name] = {
            "dtype": DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, end],
        }
        offset = end
    if "__metadata__" in names:
        raise TypeError("a tensor cannot be called __metadata__")
    header = json.dumps(table, separators=(",", ":"), ensure_ascii=False).encode()
    header += b" " * (-len(header) % 8)
    if len(header) > MAX_HEADER:
        raise CheckpointError(
            f"the header would have {len(header)} bytes; the format ends at 100 MB"
        )
    return header


def _bytes(tensor: Tensor) -> memoryview:
    flat = tensor.detach().cpu().contiguous().reshape(-1)
    if not flat.numel():
        return memoryview(b"")
    data: Any = flat.view(torch.uint8).numpy()
    return memoryview(data)


def stored_digest(header: Header) -> str:
    """The digest that a file states of itself; ``""`` if it states none."""
    return header.metadata.get("sha256", "")


def verify(path: Path) -> Header:
    """Read a whole file once and compare its digest.

    Returns:
        Its header.

    Raises:
        CheckpointError: It is missing, foreign, damaged, or states no digest.
    """
    header = read_header(path)
    stated = stored_digest(header)
    if not stated:
        raise CheckpointError(f"{path} states no digest, so it cannot be verified")
    try:
        with path.open("rb") as file:
            actual = _digest(file, stated)
    except OSError as error:
        raise CheckpointError(f"cannot read {path}: {error.strerror or error}") from error
    if actual != stated:
        raise CheckpointError(
            f"{path} is damaged: its content does not have the digest that it states",
            hint=way_back(path),
        )
    return header


def _digest(file: IO[bytes], stated: str) -> str:
    head = file.read(8)
    raw = file.read(int.from_bytes(head, "little"))
    mark = raw.find(f'"sha256":"{stated}"'.encode())
    if mark < 0:
        return ""
    mark += len('"sha256":"')
    digest = hashlib.sha256(head + raw[:mark] + BLANK.encode() + raw[mark + 64 :])
    while chunk := file.read(CHUNK):
        digest.update(chunk)
    return digest.hexdigest()


def read(path: Path, *, check: bool = True) -> tuple[dict[str, Tensor], Header]:
    """Read all tensors to the CPU, and the header.

    Args:
        path: A safetensors file of anybody's.
        check: Compare the digest, where the file states one.

    Raises:
        CheckpointError: It is missing, foreign or damaged.
    """
    header = _look(path)
    if check and (stored_digest(header) or "verify" in header.metadata):
        verify(path)
    try:
        return load_file(path), header
    except (SafetensorError, OSError, ValueError) as error:
        raise CheckpointError(f"{path} is damaged: {error}", hint=way_back(path)) from error


def _look(path: Path) -> Header:
    """Read a header; of a damaged file of a run, say what writes it again."""
    try:
        return read_header(path)
    except CheckpointError as error:
        if path.is_file() and (way := way_back(path)).startswith("zoo resume"):
            error.hint = way
        raise
