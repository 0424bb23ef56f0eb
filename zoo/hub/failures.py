"""What the Hub client raises, said in one line with a way on.

The client's errors carry the request, and the request carries the token: :func:`scrub` takes it
out before an error is chained, and a :class:`zoo.errors.ZooError` never pickles its cause.
"""

from __future__ import annotations

import errno
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

from zoo.core import settings
from zoo.errors import DiskError, HubError, UsageError, ZooError
from zoo.hub.address import one_line, without_secrets

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zoo.hub.subject import Subject

NO_XET: Final = "set HF_HUB_DISABLE_XET=1 and try again: this Hub may not speak xet"
_UNREACHABLE: Final = {"ConnectError", "ConnectTimeout", "ProxyError", "UnsupportedProtocol"}


class MissingError(HubError):
    """Something is not here, and in offline mode it is not fetched (exit 6)."""


class DamagedError(HubError):
    """A file that is here is not what it must be, and in offline mode it is left as it is (exit 6)."""


@contextmanager
def translated(subject: Subject) -> Iterator[None]:
    """Raise what the client raises inside as a :class:`zoo.errors.ZooError`.

    Raises:
        ZooError: The translation; anything that is not about the Hub or the disk passes through.
    """
    try:
        yield
    except ZooError:
        raise
    except Exception as error:
        told = translate(error, subject)
        if told is None:
            raise
        scrub(error)
        raise told from error


def http_error() -> type[Exception]:
    """The base of everything that the client's HTTP library raises (httpx or httpx2)."""
    from huggingface_hub import errors

    base: type[Exception] = errors.HTTPError  # type: ignore[attr-defined]
    return base


def translate(error: BaseException, subject: Subject) -> ZooError | None:
    """The one-line error for what the client raised, or ``None`` if it is none of its own."""
    from huggingface_hub import errors as hub

    from zoo.hub import rights

    if isinstance(error, hub.HFValidationError | getattr(hub, "HfUriError", hub.HFValidationError)):
        return UsageError(f"{subject.repo!r} is not a repository id", hint="expected user/name")
    if isinstance(error, hub.OfflineModeIsEnabled):
        return offline_error(f"{subject.repo or 'the Hub'} cannot be asked")
    if isinstance(error, hub.LocalTokenNotFoundError):
        return rights.not_logged_in()
    if isinstance(error, hub.HfHubHTTPError):
        return _by_status(error, subject)
    if isinstance(error, hub.LocalEntryNotFoundError):
        cause = error.__cause__ or error
        return unreachable(cause, subject)
    if isinstance(error, hub.FileMetadataError):
        return HubError(f"{subject.where} does not answer like a Hub", hint="check HF_ENDPOINT")
    if isinstance(error, hub.RevisionResolutionError):
        return unreachable(error.__cause__ or error, subject)
    if isinstance(error, http_error()):
        return unreachable(error, subject)
    return _by_kind(error, subject)


def _by_kind(error: BaseException, subject: Subject) -> ZooError | None:
    """Errors that are builtin classes: hf_xet's, the size check's, the disk's."""
    text = one_line(error)
    if "xet" in text.lower() and isinstance(error, ConnectionError | RuntimeError | OSError):
        return HubError(f"xet transfer with {subject.where} failed: {text}", hint=NO_XET)
    if isinstance(error, ConnectionError):
        return HubError(f"transfer with {subject.where} failed: {text}", hint=NO_XET)
    if isinstance(error, OSError) and "Consistency check failed" in text:
        return damaged(subject.file, subject.repo)
    if isinstance(error, OSError):
        return disk_error(error, str(error.filename or settings.cache_dir()))
    return None


def _by_status(error: Any, subject: Subject) -> ZooError:
    from huggingface_hub import errors as hub

    from zoo.hub import rights

    repo, file = subject.repo, subject.file
    status = getattr(error.response, "status_code", 0)
    page = f"{subject.where}/{repo}"
    if isinstance(error, hub.GatedRepoError):
        return HubError(f"{repo} is gated", hint=f"ask for access at {page}, then {rights.login()}")
    if isinstance(error, hub.RepositoryNotFoundError):
        return rights.no_repository(status, subject)
    if isinstance(error, hub.RevisionNotFoundError):
        known = ", ".join(subject.known)
        return HubError(
            f"{repo} has no revision {subject.revision!r}",
            hint=f"it has {known}" if known else f"see {page}/tree/main",
        )
    if isinstance(error, hub.EntryNotFoundError):
        known = ", ".join(subject.known)
        at = f" at {subject.revision}" if subject.revision else ""
        return HubError(
            f"{repo} has no file {file!r}{at}", hint=f"it has {known}" if known else f"see {page}"
        )
    if isinstance(error, hub.DisabledRepoError):
        return HubError(f"{repo} is disabled by the Hub", hint=f"see {page}")
    return status_error(status, one_line(error), subject, headers=error.response.headers)


def status_error(status: int, text: str, subject: Subject, *, headers: Any = None) -> ZooError:
    """The error for a plain HTTP status.

    Args:
        status: HTTP status code.
        text: What the client or the server said, one line.
        subject: What the request was about.
        headers: The answer's headers (``Retry-After``, request id).
    """
    what = subject.repo or "the request"
    if status in (401, 403):
        from zoo.hub.rights import no_right

        return no_right(status, subject, what)
    if status == 409:
        return HubError(
            f"{what} is in conflict with what is there: {text}",
            hint="look at what is there (zoo pull), then try again",
        )
    if status == 412:
        return HubError(
            f"someone pushed to {what} first; nothing was overwritten",
            hint="look at what is there (zoo pull), then push again",
        )
    if status == 429:
        wait = retry_after(headers) if headers is not None else None
        after = f"wait {wait:.0f} s" if wait else "wait a while"
        return HubError(f"{subject.where} limits requests", hint=f"{after}, then try again")
    if status >= 500:
        request = (headers or {}).get("x-request-id", "")
        detail = f" (request {request})" if request else ""
        return HubError(
            f"{subject.where} is down: HTTP {status}{detail}",
            hint=subject.ways or "try again later; --offline works with what is cached",
        )
    return HubError(
        f"{subject.where} refused: {text or f'HTTP {status}'}",
        hint="check HF_ENDPOINT, and the client: pip install -U huggingface_hub",
    )


def unreachable(error: BaseException, subject: Subject) -> HubError:
    """The error for a Hub that did not answer."""
    what = f"{subject.repo}: " if subject.repo else ""
    needed = f"; {subject.file} is not cached" if subject.file else ""
    return HubError(
        f"{what}cannot reach {subject.where} ({reason(error)}){needed}",
        hint=subject.ways or "check the network, HF_ENDPOINT and proxies; --offline uses the cache",
    )


def reason(error: BaseException) -> str:
    """Why a transfer failed, short: the innermost error's own words."""
    inner = error
    for _ in range(20):  # causes may go in a circle
        inner = inner.__cause__ or inner.__context__ or inner
    text = one_line(inner if str(inner) else error)
    return re.sub(r"^\[(?:Errno|SSL)[^\]]*\] ", "", text) or type(error).__name__


def is_unreachable(error: BaseException) -> bool:
    """Whether nothing at all was reached: no such host, refused, or no answer to a connect."""
    return any(kind.__name__ in _UNREACHABLE for kind in type(error).__mro__)


def offline_error(what: str, *, hint: str = "") -> MissingError:
    """The error for something that would need the network in offline mode."""
    return MissingError(
        f"offline mode: {what}",
        hint=hint or "unset ZOO_OFFLINE / HF_HUB_OFFLINE, or drop --offline",
    )


def damaged(file: str, where: str) -> HubError:
    """The error for bytes that are not what the Hub said they are."""
    return HubError(
        f"{file or 'a file'} of {where or 'the Hub'} came damaged twice; it was removed",
        hint="try again later or from another network; a proxy or mirror may be altering files",
    )


def damaged_here(path: Path) -> DamagedError:
    """The error for a damaged file that is not replaced, since the network is not used."""
    return DamagedError(
        f"{path} is damaged", hint="zoo verify --remove deletes it; the next pull fetches it"
    )


def disk_error(error: OSError, path: str) -> DiskError:
    """The error for a full, read-only or forbidden disk."""
    if error.errno == errno.ENOSPC:
        return DiskError(f"disk full at {path}", hint="zoo cache --prune frees downloads")
    way = "set ZOO_CACHE and HF_HOME to folders that you may write to"
    if error.errno == errno.EFBIG:
        way = "the file system or ulimit -f allows no file of that size: " + way
    return DiskError(f"cannot write {path}: {error.strerror or error}", hint=way)


def retry_after(headers: Any) -> float | None:
    """Seconds that an answer asks to wait (``Retry-After`` or the Hub's ``ratelimit``)."""
    value = headers.get("retry-after") or ""
    if value.strip().isdigit():
        return float(value)
    match = re.search(r";\s*t=(\d+)", headers.get("ratelimit") or "")
    return float(match[1]) if match else None


def scrub(error: BaseException | None) -> None:
    """Take tokens, passwords and signatures out of an error, its causes and their requests."""
    seen: set[int] = set()
    while error is not None and id(error) not in seen:
        seen.add(id(error))
        error.args = tuple(without_secrets(a) if isinstance(a, str) else a for a in error.args)
        for holder in (error, getattr(error, "response", None)):
            request = _request_of(holder)
            if request is not None:
                request.headers.pop("authorization", None)
        error = error.__cause__ or error.__context__


def _request_of(holder: Any) -> Any:
    try:
        return getattr(holder, "request", None)
    except RuntimeError:  # httpx raises it where no request was set
        return None
