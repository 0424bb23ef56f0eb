"""One file over HTTP: resumable across processes, retried with backoff, hashed while it comes.

The bytes go to a ``.zoo-partial`` file beside the target and stay there when the process dies;
the next one asks for the rest only. The caller compares the digest and moves the file.
"""

from __future__ import annotations

import hashlib
import queue
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from zoo.errors import DiskError, HubError, ZooError
from zoo.hub import client
from zoo.hub.address import one_line
from zoo.hub.failures import (
    disk_error,
    http_error,
    is_unreachable,
    reason,
    retry_after,
    scrub,
    status_error,
    translate,
    unreachable,
)

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.hub.subject import Subject

    Progress = Callable[[int, int | None], None]

PARTIAL: Final = ".zoo-partial"
RETRIES: Final = 5
"""Tries in a row that bring no new byte before a transfer is given up."""
LONGEST_WAIT_S: Final = 60.0
_READ: Final = 1 << 20
_TRANSIENT: Final = {401, 403, 408, 425, 429, 500, 502, 503, 504}


@dataclass(frozen=True, slots=True)
class Location:
    """Where the bytes are right now; signed addresses expire, so it is asked for anew on a retry.

    Attributes:
        url: Address of the body.
        headers: Request headers, a token only where it belongs.
        size: Size of the whole file in bytes, if known.
    """

    url: str
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    size: int | None = None


class Restart(Exception):  # noqa: N818 - a turn in the loop below, never seen outside
    """The server cannot go on from our offset: start at zero."""


class _Digest:
    """SHA-256 of what is written, computed in its own thread while the network is waited for."""

    def __init__(self) -> None:
        self._hash = hashlib.sha256()
        self._queue: queue.Queue[bytes | None] = queue.Queue(maxsize=64)
        self._thread = threading.Thread(target=self._work, name="zoo-hub-sha256", daemon=True)
        self._thread.start()

    def _work(self) -> None:
        while (block := self._queue.get()) is not None:
            self._hash.update(block)

    def add(self, block: bytes) -> None:
        self._queue.put(block)

    def finish(self) -> str:
        self._queue.put(None)
        self._thread.join()
        return self._hash.hexdigest()


def download(
    locate: Callable[[], Location],
    partial: Path,
    *,
    subject: Subject,
    progress: Progress | None = None,
    note: Callable[[str], None] | None = None,
) -> str:
    """Bring a file to ``partial``, going on from what is already there.

    Args:
        locate: Gives the current :class:`Location`; called before every try.
        partial: File to append to; it survives a crash of this process.
        subject: What it is, for messages.
        progress: Called with (bytes so far, total or ``None``).
        note: Told about a wait or a retry, one line.

    Returns:
        The sha256 of the whole file.

    Raises:
        HubError: Unreachable, refused, or ``RETRIES`` tries in a row brought nothing.
        DiskError: No room or no permission.
    """
    try:
        partial.parent.mkdir(parents=True, exist_ok=True)
        digest = _digest_of(partial)
    except OSError as error:
        raise disk_error(error, str(partial.parent)) from error
    failures = 0
    while True:
        before = _size(partial)
        try:
            where = locate()
            _room(partial, where.size)
            if where.size is None or before < where.size:
                _transfer(where, partial, digest, progress)
            if where.size == 0:
                partial.touch()  # no byte came that would have made it
            _complete(partial, where.size)
            return digest.finish()
        except Restart:
            digest.finish()
            partial.unlink(missing_ok=True)
            digest = _Digest()
            failures += 1
            if failures > RETRIES:
                raise HubError(f"{subject.file}: the server sends more than it announced") from None
        except ZooError:
            digest.finish()
            raise
        except Exception as error:
            failures = 0 if _size(partial) > before else failures
            failures += 1
            wait = _wait_before_retry(error, failures, first=before == _size(partial) == 0)
            if wait is None:
                digest.finish()
                told = _final(error, subject, partial)
                if told is None:
                    raise
                raise told from error
            if note:
                note(f"{subject.file}: {_why(error)}; trying again in {wait:.0f} s")
            time.sleep(wait)


class BadStatus(Exception):  # noqa: N818 - turned into a HubError, or into another try
    """An answer that is not the file.

    Args:
        status: HTTP status.
        text: Start of the body, one line.
        headers: The answer's headers.
    """

    def __init__(self, status: int, text: str, headers: Any) -> None:
        super().__init__(f"HTTP {status}")
        self.status = status
        self.text = text
        self.headers = headers


class Short(Exception):  # noqa: N818 - turned into another try
    """The body ended before the announced size."""


def _transfer(where: Location, partial: Path, digest: _Digest, progress: Progress | None) -> None:
    """Append one answer's body to ``partial``; an interrupted body leaves what came."""
    start = _size(partial)
    asked = {**where.headers, "accept-encoding": "identity"}
    if start:
        asked["range"] = f"bytes={start}-"
    with client.session().stream(
        "GET", where.url, headers=asked, timeout=client.timeout(), follow_redirects=True
    ) as answer:
        if answer.status_code == 416 or (start and answer.status_code == 200):
            raise Restart
        if answer.status_code not in (200, 206):
            raise BadStatus(answer.status_code, _body_start(answer), answer.headers)
        if start and not answer.headers.get("content-range", "").startswith(f"bytes {start}-"):
            raise Restart
        total = where.size if where.size is not None else _announced(answer, start)
        _append(answer, partial, digest, total, progress)
        if total is not None and _size(partial) < total:
            raise Short(f"the body ended at {_size(partial)} of {total} bytes")


def _append(
    answer: Any, partial: Path, digest: _Digest, total: int | None, progress: Progress | None
) -> None:
    done = _size(partial)
    with partial.open("ab", buffering=_READ) as file:
        if progress:
            progress(done, total)
        shown = done
        for block in answer.iter_raw():
            file.write(block)
            digest.add(block)
            done += len(block)
            if progress and done - shown >= _READ:
                progress(done, total)
                shown = done
        if progress and shown != done:
            progress(done, total)


def _complete(partial: Path, size: int | None) -> None:
    if size is not None and _size(partial) > size:
        raise Restart


def _announced(answer: Any, start: int) -> int | None:
    length = answer.headers.get("content-length", "")
    return start + int(length) if length.isdigit() else None


def _body_start(answer: Any) -> str:
    """The first 2 kB of an error's body: enough for a message, never a whole page."""
    text = b""
    for block in answer.iter_raw():
        text += block
        if len(text) > 2048:
            break
    return one_line(text[:2048].decode("utf-8", "replace"), limit=160)


def _digest_of(partial: Path) -> _Digest:
    digest = _Digest()
    if partial.is_file():
        with partial.open("rb") as file:
            while block := file.read(_READ):
                digest.add(block)
    return digest


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _room(partial: Path, size: int | None) -> None:
    if size is None:
        return
    free = shutil.disk_usage(partial.parent).free
    missing = size - _size(partial)
    if missing > free:
        raise DiskError(
            f"{partial.parent} has {free / 1e6:.0f} MB free, {missing / 1e6:.0f} MB are needed",
            hint="zoo cache --prune frees downloads; HF_HOME and ZOO_CACHE move them",
        )


def _wait_before_retry(error: BaseException, failures: int, *, first: bool) -> float | None:
    """Seconds to wait, or ``None`` to give up now."""
    if failures > RETRIES:
        return None
    if isinstance(error, Short):
        return backoff(failures)
    answer: Any = error if isinstance(error, BadStatus) else getattr(error, "response", None)
    if answer is not None:
        status = getattr(answer, "status", None) or answer.status_code
        if status not in _TRANSIENT or (first and status in (401, 403)):
            return None
        asked = retry_after(answer.headers)
        return min(asked if asked is not None else backoff(failures), LONGEST_WAIT_S)
    if isinstance(error, http_error()):
        return None if first and is_unreachable(error) else backoff(failures)
    return None


def backoff(failures: int) -> float:
    """Seconds to wait after that many failures in a row: 0.5, 1, 2, 4, 8."""
    return float(min(0.5 * 2 ** (failures - 1), 8.0))


def _why(error: BaseException) -> str:
    return str(error) if isinstance(error, BadStatus | Short) else reason(error)


def _final(error: Exception, subject: Subject, partial: Path) -> ZooError | None:
    """The error to raise when no try is left; ``None`` if it is not about the Hub or the disk."""
    scrub(error)
    if isinstance(error, OSError) and error.filename is None:
        error.filename = str(partial)
    if isinstance(error, BadStatus):
        return status_error(error.status, error.text, subject, headers=error.headers)
    told = unreachable(error, subject) if isinstance(error, Short) else translate(error, subject)
    kept = _size(partial)
    if kept and isinstance(told, HubError):
        told.hint = f"run it again: it goes on at {kept / 1e6:.1f} MB. Else: {told.hint}"
    return told
