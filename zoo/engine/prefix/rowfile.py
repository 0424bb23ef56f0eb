"""Rows of tensors in a file: written where they belong, read when they are asked for.

A small file is mapped: picking rows out of it costs what it costs in memory. A larger one is read
row by row into the batch itself. That is as fast while the system holds the file in its own cache,
and keeps the pages out of the process: mapped, a whole file would come to count as its memory.
"""

from __future__ import annotations

import math
import os
from typing import TYPE_CHECKING

import torch

from zoo.engine.saving.atomic import disk_error
from zoo.errors import DiskError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from torch import Tensor

MAPPED = 32 << 20
"""Bytes up to which a file is mapped."""
ELSEWHERE = "set ZOO_CACHE to a folder on another disk, or --cache off"
ANEW = "run it again: what is not whole is computed again"


class RowFile:
    """An open file of rows.

    Args:
        path: The file; it has to be there, with all of its bytes.
        count: Rows in it.
        shape: Shape of a row.
        dtype: Its type.

    Raises:
        OSError: It cannot be opened.
    """

    def __init__(self, path: Path, count: int, shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.path, self.shape, self.dtype = path, shape, dtype
        self.row_bytes = math.prod(shape) * dtype.itemsize
        self._file = os.open(path, os.O_RDWR)
        self._map: Tensor | None = None
        size = count * self.row_bytes
        if 0 < size <= MAPPED:
            flat = torch.from_file(str(path), shared=True, size=size, dtype=torch.uint8)
            self._map = flat.view(dtype).view(count, *shape)

    def read(self, rows: Tensor) -> Tensor:
        """A copy of some rows, int64 (N,) to (N, ...).

        Raises:
            DiskError: The file cannot be read, or ends too early.
        """
        if self._map is not None:
            return self._map.index_select(0, rows)
        found = torch.empty((len(rows), *self.shape), dtype=self.dtype)
        raw = raw_bytes(found)
        for place, first, count in runs(rows.tolist()):
            part = raw[place * self.row_bytes : (place + count) * self.row_bytes]
            self._fill(part, first * self.row_bytes)
        return found

    def _fill(self, part: memoryview, offset: int) -> None:
        try:
            while part:
                got = read_into(self._file, part, offset)
                if not got:
                    raise DiskError(f"cannot read {self.path}: it ends too early", hint=ANEW)
                part, offset = part[got:], offset + got
        except OSError as error:
            raise DiskError(f"cannot read {self.path}: {error.strerror}", hint=ANEW) from error

    def write(self, first: int, rows: Tensor) -> None:
        """Write rows (N, ...), the first of them being number ``first``.

        Raises:
            DiskError: The file cannot be written.
        """
        raw, offset = raw_bytes(rows), first * self.row_bytes
        try:
            while raw:
                written = os.pwrite(self._file, raw, offset)
                raw, offset = raw[written:], offset + written
        except OSError as error:
            raise cache_error(error, self.path) from error

    def close(self) -> None:
        """Let go of the file."""
        self._map = None
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def cache_error(error: OSError, path: Path) -> DiskError:
    """Translate an operating system error about a file of the cache: another disk than the run's."""
    return DiskError(disk_error(error, path).message, hint=ELSEWHERE)


def raw_bytes(rows: Tensor) -> memoryview:
    """The bytes of a contiguous tensor (...) in host memory, not a copy."""
    return memoryview(rows.reshape(-1).view(torch.uint8).numpy().data).cast("B")


def runs(rows: list[int]) -> Iterator[tuple[int, int, int]]:
    """Neighbours among rows: (place in the list, first row, how many follow one another)."""
    place = 0
    while place < len(rows):
        count = 1
        while place + count < len(rows) and rows[place + count] == rows[place] + count:
            count += 1
        yield place, rows[place], count
        place += count


def read_into(file: int, part: memoryview, offset: int) -> int:
    """Read bytes at a place of a file into memory; how many came."""
    if hasattr(os, "preadv"):
        return os.preadv(file, [part], offset)
    found = os.pread(file, len(part), offset)
    part[: len(found)] = found
    return len(found)
