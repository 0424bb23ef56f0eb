"""Where prefix outputs are kept: in memory (host or device) or in a file, chunk by chunk.

A store holds the rows of one view of one image set, in the order in which its epoch visits them,
so that a chunk (one batch) is one contiguous piece. A file is written by ``pwrite`` into space
that was reserved before, so a full disk is an error at the start, not a crash; each chunk is then marked with
its digest. A run that is killed half way leaves whole chunks and their marks. On opening, every
marked chunk is checked; what does not match is computed again.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
from abc import ABC, abstractmethod
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import torch
from filelock import FileLock, Timeout

from zoo.engine.prefix.rowfile import ELSEWHERE, RowFile, cache_error, raw_bytes
from zoo.engine.saving.atomic import write_bytes
from zoo.errors import BusyError, DiskError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from torch import Tensor

FORMAT = 1
_TRIES = 5
_PATIENCE = 0.1
"""Seconds to wait for a lock: who deletes the entry has it for a moment."""
ABOUT, DATA, MARKS, LOCK = "about.json", "features.bin", "done.jsonl", ".lock"


class Store(ABC):
    """Rows (R, ...) in chunks.

    Args:
        chunks: Number of rows of each chunk, in order.
        shape: Shape of a row.
        dtype: Its type.

    Attributes:
        done: Which chunks are there.
        missing: Rows that are not there for good, their images being unreadable.
        note: What is worth saying of what was found on opening.
        broken: Whether it could not be written: nothing more is kept in it.
    """

    def __init__(self, chunks: Sequence[int], shape: tuple[int, ...], dtype: torch.dtype) -> None:
        self.shape, self.dtype = shape, dtype
        self.starts = [0]
        for count in chunks:
            self.starts.append(self.starts[-1] + count)
        self.done = [False] * len(chunks)
        self.missing: set[int] = set()
        self.note, self.broken = "", False

    @property
    def rows(self) -> int:
        """Number of rows."""
        return self.starts[-1]

    @property
    def row_bytes(self) -> int:
        """Size of a row."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def bytes(self) -> int:
        """Size of all rows."""
        return self.rows * self.row_bytes

    @property
    def path(self) -> str:
        """File that other processes can read; empty if there is none."""
        return ""

    def write(self, chunk: int, rows: Tensor, values: Tensor) -> None:
        """Keep a chunk.

        Args:
            chunk: Which one.
            rows: Its rows that have values, int64 (N,); the others are missing for good.
            values: Their values (N, ...).

        Raises:
            DiskError: They cannot be written.
        """
        wanted = set(range(self.starts[chunk], self.starts[chunk + 1]))
        lacking = sorted(wanted - set(rows.tolist()))
        self._put(chunk, rows, values.to(self.dtype), lacking)
        self.missing.update(lacking)
        self.done[chunk] = True

    @abstractmethod
    def _put(self, chunk: int, rows: Tensor, values: Tensor, lacking: list[int]) -> None: ...

    @abstractmethod
    def read(self, rows: Tensor) -> Tensor:
        """A copy of some rows, int64 (N,) to (N, ...)."""

    def forget(self) -> None:
        """Mark nothing as done."""
        self.done = [False] * len(self.done)
        self.missing.clear()

    def reopen_missing(self) -> None:
        """Mark chunks with missing rows as not done, so that their images are read again."""
        for chunk, (start, end) in enumerate(pairwise(self.starts)):
            if any(start <= row < end for row in self.missing):
                self.done[chunk] = False
        self.missing.clear()

    @abstractmethod
    def close(self) -> None:
        """Let go of files and memory."""


class MemoryStore(Store):
    """Rows in memory.

    Args:
        chunks: As in :class:`Store`.
        shape: As in :class:`Store`.
        dtype: As in :class:`Store`.
        device: Whose memory.

    Attributes:
        data: All rows (R, ...).
    """

    def __init__(
        self,
        chunks: Sequence[int],
        shape: tuple[int, ...],
        dtype: torch.dtype,
        device: torch.device | None = None,
    ) -> None:
        super().__init__(chunks, shape, dtype)
        self.data = torch.empty((self.rows, *shape), dtype=dtype, device=device or "cpu")

    def read(self, rows: Tensor) -> Tensor:
        """A copy of some rows, int64 (N,) to (N, ...)."""
        return self.data.index_select(0, rows.to(self.data.device))

    def _put(self, chunk: int, rows: Tensor, values: Tensor, lacking: list[int]) -> None:
        del chunk, lacking
        self.data.index_copy_(0, rows.to(self.data.device), values.to(self.data.device))

    def close(self) -> None:
        """Let go of the memory."""
        self.data = torch.empty(0)


class FileStore(Store):
    """Rows in a file of a folder of their own, locked while it is open.

    Args:
        folder: The folder; made if it is not there.
        about: What decides the rows; a folder made for something else is emptied.
        chunks: As in :class:`Store`.
        shape: As in :class:`Store`.
        dtype: As in :class:`Store`.
        lasting: Whether a later run may find the rows; else the folder is emptied before and after.

    Attributes:
        reused: Chunks that were there already.

    Raises:
        BusyError: Another process has it open.
        DiskError: The space cannot be reserved.
    """

    def __init__(
        self,
        folder: Path,
        about: Mapping[str, Any],
        chunks: Sequence[int],
        shape: tuple[int, ...],
        dtype: torch.dtype,
        *,
        lasting: bool = True,
    ) -> None:
        super().__init__(chunks, shape, dtype)
        self.folder, self.lasting = folder, lasting
        self._lock = _locked(folder)
        try:
            self._open(about)
        except BaseException as error:
            self._lock.release()
            if isinstance(error, OSError):
                raise cache_error(error, folder) from error
            if isinstance(error, DiskError):
                raise DiskError(error.message, hint=ELSEWHERE) from error
            raise
        self.reused = sum(self.done)

    def _open(self, about: Mapping[str, Any]) -> None:
        wanted = {
            **about,
            "format": FORMAT,
            "starts": self.starts,
            "shape": list(self.shape),
            "dtype": str(self.dtype),
        }
        path = self.folder / DATA
        if not self.lasting or _read_json(self.folder / ABOUT) != wanted:
            self._empty()
            write_bytes(self.folder / ABOUT, json.dumps(wanted).encode())
        os.utime(self.folder / ABOUT)  # last use, for pruning
        whole = _reserved(path, self.bytes)
        self._file = RowFile(path, self.rows, self.shape, self.dtype)
        marks = self.folder / MARKS
        damaged = 0
        for chunk, mark in _read_marks(marks).items():
            if 0 <= chunk < len(self.done) and whole and self._digest(chunk) == mark["sha256"]:
                self.done[chunk] = True
                self.missing.update(mark["missing"])
            else:
                damaged += 1
        if damaged:
            self.note = f"{damaged} of {len(self.done)} cached chunks were damaged: computed again"
        cut_off = marks.is_file() and marks.read_bytes()[-1:] not in (b"", b"\n")
        self._marks = marks.open("a", encoding="utf-8")
        if cut_off:
            self._marks.write("\n")

    def _empty(self) -> None:
        for name in (ABOUT, MARKS, DATA):
            (self.folder / name).unlink(missing_ok=True)

    @property
    def path(self) -> str:
        """File that other processes can read."""
        return str(self.folder / DATA)

    def read(self, rows: Tensor) -> Tensor:
        """A copy of some rows, int64 (N,) to (N, ...).

        Raises:
            DiskError: The file cannot be read.
        """
        return self._file.read(rows)

    def _put(self, chunk: int, rows: Tensor, values: Tensor, lacking: list[int]) -> None:
        start, end = self.starts[chunk], self.starts[chunk + 1]
        whole = torch.zeros((end - start, *self.shape), dtype=self.dtype)
        whole.index_copy_(0, rows.cpu() - start, values.cpu())
        digest = hashlib.sha256(raw_bytes(whole)).hexdigest()
        mark = {"chunk": chunk, "sha256": digest, "missing": lacking}
        self._file.write(start, whole)
        try:
            self._marks.write(json.dumps(mark) + "\n")
            self._marks.flush()
        except OSError as error:
            raise cache_error(error, self.folder / MARKS) from error

    def _digest(self, chunk: int) -> str:
        rows = torch.arange(self.starts[chunk], self.starts[chunk + 1])
        return hashlib.sha256(raw_bytes(self._file.read(rows))).hexdigest()

    def forget(self) -> None:
        """Mark nothing as done, on the disk as well."""
        super().forget()
        self.reused = 0
        self._marks.truncate(0)

    def close(self) -> None:
        """Let go of the file and the lock."""
        with contextlib.suppress(OSError):
            self._marks.close()  # writes what is left of a mark that did not fit
        with contextlib.suppress(OSError):
            self._file.close()
            if not self.lasting:
                self._empty()
        self._lock.release()


def _locked(folder: Path) -> FileLock:
    """Make a folder that is not there, and lock it.

    Raises:
        BusyError: Another process has it.
        DiskError: It cannot be made.
    """
    for left in reversed(range(_TRIES)):
        try:
            folder.mkdir(parents=True, exist_ok=True)
            this = folder.stat().st_ino
            lock = FileLock(folder / LOCK, timeout=_PATIENCE)
            lock.acquire()
            if folder.stat().st_ino == this:
                return lock
            lock.release()
        except Timeout:
            break
        except FileNotFoundError as error:  # it was deleted between two of these lines
            if not left:
                raise cache_error(error, folder) from error
        except OSError as error:
            raise cache_error(error, folder) from error
    raise BusyError(f"another run uses {folder}")


def _reserved(path: Path, size: int) -> bool:
    """Whether a file has that size; else it is made so, its space taken where that can be done.

    The size is there last: a file of that size is one whose space was taken.
    """
    file = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        if os.fstat(file).st_size == size:
            return True
        os.ftruncate(file, 0)
        if size and hasattr(os, "posix_fallocate"):
            try:
                os.posix_fallocate(file, 0, size)
            except OSError:
                os.ftruncate(file, 0)
                raise
        os.ftruncate(file, size)
        return False
    finally:
        os.close(file)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_bytes())
    except (OSError, ValueError):
        return None


def _read_marks(path: Path) -> dict[int, dict[str, Any]]:
    """Marks by chunk, the last one counts; a line that a kill cut off is left out."""
    found: dict[int, dict[str, Any]] = {}
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return found
    for line in lines:
        with contextlib.suppress(ValueError, KeyError, TypeError):
            mark = json.loads(line)
            found[int(mark["chunk"])] = {
                "sha256": str(mark["sha256"]),
                "missing": [int(row) for row in mark["missing"]],
            }
    return found
