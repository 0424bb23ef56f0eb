"""A run's folder: made once, held by one process, never overwritten.

::

    RUN/
      recipe.toml            what was run (the conductor writes it)
      origin.json            the folder in which it was started
      checkpoints/           step-00001234.safetensors: the whole state of that step
      model.safetensors      the best weights
      metrics.jsonl          one line per optimizer step and per epoch
      log.txt                what was said
      .staging/              unfinished files; emptied when the folder is taken
      .lock  .owner          who has it
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import re
import shutil
import socket
import time
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Self

from filelock import FileLock, Timeout

from zoo.engine.history import METRICS_FILE
from zoo.engine.saving import atomic
from zoo.errors import BusyError, DiskError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType

    from zoo.core.recipe import OutputPart
    from zoo.engine.saving.live import Position

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
MOMENT = 0.2
"""Seconds to wait for a folder: another process may only have looked whether it is free."""


class RunFolder:
    """A run folder that this process holds. Make one with :meth:`create` or :meth:`open`.

    Attributes:
        path: The folder.
        swept: How many unfinished files a killed run had left.
    """

    def __init__(self, path: Path, lock: FileLock) -> None:
        self.path = path
        self._lock = lock
        self._files: dict[Path, IO[bytes]] = {}
        self._named = False
        self.swept = atomic.sweep(self.staging)
        try:
            (path / "checkpoints").mkdir(exist_ok=True)
            self.staging.mkdir(exist_ok=True)
            owner = {"pid": os.getpid(), "host": socket.gethostname(), "since": time.time()}
            atomic.write_bytes(path / ".owner", json.dumps(owner).encode(), staging=self.staging)
        except OSError as error:
            raise atomic.disk_error(error, path) from error

    @classmethod
    def create(cls, parent: Path, *, name: str | None = None, stem: str = "run") -> Self:
        """Make a new folder and take it.

        Args:
            parent: Folder of all runs.
            name: The run's name; default: ``stem`` and the next free number.
            stem: E.g. ``resnet18-demo``, giving ``resnet18-demo-001``.

        Raises:
            UsageError: The name is malformed, or exists.
            DiskError: The folder cannot be made or written.
        """
        if name is not None and not _NAME.fullmatch(name):
            raise UsageError(
                f"{name!r} cannot be a run's name", hint="letters, digits, dots, dashes"
            )
        try:
            if parent.exists() and not parent.is_dir():
                raise UsageError(f"{parent} is a file, not a folder of runs", hint="--out FOLDER")
            atomic.make_folder(parent)
            path = _make(parent, name, re.sub(r"[^A-Za-z0-9._-]+", "-", stem).strip("-.") or "run")
            atomic.sync_folder(parent)
        except FileExistsError:
            raise _exists(parent / (name or stem)) from None
        except OSError as error:
            raise atomic.disk_error(error, parent) from error
        return cls(path, _take(path))

    @classmethod
    def open(cls, path: Path) -> Self:
        """Take an existing run folder, to go on with it.

        Raises:
            UsageError: There is no run.
            BusyError: Another process has it.
            DiskError: It cannot be written.
        """
        if not (path / "checkpoints").is_dir():
            raise UsageError(f"{path} is not a run folder", hint="zoo runs lists them")
        return cls(path, _take(path))

    @property
    def name(self) -> str:
        """The run's name."""
        return self.path.name

    @property
    def staging(self) -> Path:
        """Where unfinished files lie."""
        return self.path / ".staging"

    @property
    def metrics(self) -> Path:
        """The metrics file."""
        return self.path / METRICS_FILE

    def write_text(self, name: str, text: str) -> Path:
        """Make or replace a small text file of the run atomically.

        Raises:
            DiskError: The system refused.
        """
        path = self.path / name
        atomic.write_bytes(path, text.encode(), staging=self.staging)
        return path

    def record(self, row: Mapping[str, Any]) -> None:
        """Append one line to ``metrics.jsonl``; ``row`` has ``kind``, ``epoch`` and ``step``.

        Raises:
            DiskError: The system refused.
        """
        self._append(self.metrics, json.dumps(row, separators=(",", ":")) + "\n")

    def log(self, line: str) -> None:
        """Append one line with the time to ``log.txt``.

        Raises:
            DiskError: The system refused.
        """
        stamp = time.strftime("%Y-%m-%d %H:%M:%S")
        self._append(self.path / "log.txt", f"{stamp} {line}\n")

    def _append(self, path: Path, text: str) -> None:
        try:
            if path not in self._files:
                self._files[path] = path.open("ab", buffering=0)
            data = text.encode()
            while data:  # a nearly full disk takes a part of a line
                data = data[self._files[path].write(data) :]
        except OSError as error:
            raise atomic.disk_error(error, path) from error

    def _let_go(self) -> None:
        while self._files:
            self._files.popitem()[1].close()

    def flush(self) -> None:
        """Bring the metrics and their file's name to the disk: no state is newer than its lines.

        Raises:
            DiskError: The system refused.
        """
        try:
            handle = os.open(self.metrics, os.O_RDWR)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
            if not self._named:
                atomic.sync_folder(self.path)
                self._named = True
        except FileNotFoundError:
            return
        except OSError as error:
            raise atomic.disk_error(error, self.metrics) from error

    def require_there(self) -> None:
        """Refuse to write into a folder that is gone: making it anew would hide the loss.

        Raises:
            DiskError: It was deleted, renamed or unmounted, or the system does not say.
        """
        try:
            (self.path / ".lock").stat()
        except FileNotFoundError as error:
            raise DiskError(
                f"{self.path}: the folder of the run is gone (deleted, renamed or unmounted)",
                hint="bring it back and zoo resume it, or begin again",
            ) from error
        except OSError as error:
            raise atomic.disk_error(error, self.path) from error

    def rewind(self, position: Position) -> int:
        """Drop the lines of ``metrics.jsonl`` that a resumed run will write again.

        Returns:
            How many lines were dropped; a torn last line counts.

        Raises:
            DiskError: The system refused.
        """
        try:
            lines = self.metrics.read_bytes().splitlines(keepends=True)
        except FileNotFoundError:
            return 0
        self._let_go()
        kept = [line for line in lines if _belongs(line, position)]
        if len(kept) < len(lines):
            atomic.write_bytes(self.metrics, b"".join(kept), staging=self.staging)
        return len(lines) - len(kept)

    def require_space(self, needed: int) -> None:
        """Refuse to start what cannot be saved.

        Args:
            needed: Bytes that two states and the best weights will take.

        Raises:
            DiskError: There is less.
        """
        free = shutil.disk_usage(self.path).free
        if free < needed:
            raise DiskError(
                f"{self.path} has {free / 1e6:.0f} MB free, the run needs {needed / 1e6:.0f} MB",
                hint="free some space, or choose another disk with --set output.dir=FOLDER",
            )

    def close(self) -> None:
        """Give the folder back."""
        self._let_go()
        if self._lock.is_locked:
            with contextlib.suppress(OSError):
                (self.path / ".owner").unlink()
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def check_name(output: OutputPart) -> None:
    """Refuse a run's name that is taken or malformed, before anything expensive is done.

    Raises:
        UsageError: It is.
        BusyError: Another process is at work in that folder.
    """
    if output.name is None:
        return
    if not _NAME.fullmatch(output.name):
        raise UsageError(
            f"{output.name!r} cannot be a run's name", hint="letters, digits, dots, dashes"
        )
    path = Path(output.dir, output.name)
    if "RANK" not in os.environ:
        require_free(path)
    if path.exists() and not _unborn(path) and "RANK" not in os.environ:
        raise _exists(path)


def require_free(path: Path) -> None:
    """Refuse a run folder that another process has, before anything expensive is done.

    Only looks: the folder is taken later, when it may have gone to somebody else after all.

    Raises:
        BusyError: Another process has it; says which.
    """
    if (path / ".lock").exists() and os.environ.get("RANK", "0") == "0":
        with contextlib.suppress(DiskError):
            _take(path).release()


def _make(parent: Path, name: str | None, stem: str) -> Path:
    if name is not None:
        path = parent / name
        try:
            path.mkdir()
        except FileExistsError:
            if not _unborn(path):
                raise
        return path
    pattern = re.compile(re.escape(stem) + r"-(\d{3,})")
    taken = [int(m[1]) for entry in parent.iterdir() if (m := pattern.fullmatch(entry.name))]
    number = max(taken, default=0)
    while True:  # another process may take a number between looking and making
        number += 1
        path = parent / f"{stem}-{number:03d}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path


def _unborn(path: Path) -> bool:
    """Whether a folder is all that is left of a run that was killed before it could begin."""
    own = {".lock", ".staging", ".owner", "checkpoints", "origin.json"}
    if not path.is_dir() or {entry.name for entry in path.iterdir()} - own:
        return False
    return not any((path / "checkpoints").glob("*"))


def _exists(path: Path) -> UsageError:
    if (path / "checkpoints").is_dir():
        return UsageError(
            f"run {path.name} exists",
            hint=f"zoo resume {path} goes on with it; or choose another --name",
        )
    return UsageError(
        f"{path} exists and is not a run folder; nothing was written",
        hint="choose another --name",
    )


def _take(path: Path) -> FileLock:
    lock = FileLock(path / ".lock", timeout=MOMENT)
    try:
        lock.acquire(poll_interval=MOMENT / 4)
    except Timeout:
        raise BusyError(
            f"{path} is in use by {_owner(path)}",
            hint="wait until it ends, or stop it; a killed run frees its folder by itself",
        ) from None
    except OSError as error:
        if error.errno not in (errno.EROFS, errno.EACCES, errno.EPERM, errno.ENOSPC):
            raise
        raise atomic.disk_error(error, path) from error
    return lock


def _owner(path: Path) -> str:
    try:
        owner = json.loads((path / ".owner").read_bytes())
        return f"process {owner['pid']} on {owner['host']}"
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return "another process"


def _belongs(line: bytes, position: Position) -> bool:
    if not line.endswith(b"\n"):
        return False
    try:
        row = json.loads(line)
        if row["kind"] == "step":
            return bool(row["step"] <= position.step)
        return bool(row["epoch"] < position.epoch)
    except (ValueError, KeyError, TypeError, RecursionError):
        return False
