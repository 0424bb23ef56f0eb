"""One repository at one commit: resolved once, its files verified, in the standard cache.

:func:`open_repo` asks the Hub a single question (commit, files, digests, card); from then on
everything goes by the commit. When the Hub cannot be asked, what is cached is served and said.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

from zoo.core import settings
from zoo.core.names import suggest
from zoo.errors import HubError, ZooError
from zoo.hub import cache, client, stream
from zoo.hub.address import Address, is_commit, one_line, without_secrets
from zoo.hub.cache import Entry
from zoo.hub.endpoint import shown
from zoo.hub.failures import (
    http_error,
    is_unreachable,
    offline_error,
    retry_after,
    scrub,
    translate,
)
from zoo.hub.stream import LONGEST_WAIT_S
from zoo.hub.subject import Subject

if TYPE_CHECKING:
    from collections.abc import Callable

    Note = Callable[[str], None]

T = TypeVar("T")

_DOWN: Final = {500, 502, 503, 504}


@dataclass(frozen=True, slots=True, kw_only=True)
class Repo:
    """A repository at a commit.

    Attributes:
        address: What was asked for.
        commit: The commit that it is.
        endpoint: The Hub that said so, as it is printed and recorded.
        files: Path -> :class:`zoo.hub.cache.Entry`; from the cache, only what is there.
        card: The model card's metadata (licence, tags, base model).
        tags: The Hub's tags.
        online: Whether the Hub answered; else everything comes from the cache.
        notes: What a person should know, one line each.
        ways: Ways on for messages.
    """

    address: Address
    commit: str
    endpoint: str
    files: dict[str, Entry]
    card: dict[str, Any] = field(default_factory=dict)
    tags: tuple[str, ...] = ()
    online: bool = True
    notes: tuple[str, ...] = ()
    ways: str = ""

    @property
    def name(self) -> str:
        """``org/repo``."""
        return self.address.repo

    @property
    def licence(self) -> str:
        """The card's licence, or empty."""
        found = self.card.get("license")
        return found if isinstance(found, str) else ""

    def subject(self, file: str = "") -> Subject:
        """What a request about ``file`` is about, for messages."""
        return Subject(
            repo=self.name,
            revision=self.address.revision or self.commit,
            file=file,
            ways=self.ways,
            known=tuple(sorted(self.files))[:8],
        )


def open_repo(
    address: Address, *, ways: str = "", note: Note | None = None, fresh: bool = False
) -> Repo:
    """Resolve a revision to a commit and list its files.

    Args:
        address: Repository and revision.
        ways: Ways on, for the hint if the Hub cannot be reached.
        note: Told about waits, one line each.
        fresh: Do not fall back to what is cached, in offline mode either.

    Raises:
        HubError: Not found, no access, unreachable and not cached, or offline and not cached.
    """
    subject = Subject(repo=address.repo, revision=address.revision or "main", ways=ways)
    if settings.offline() and fresh:
        raise offline_error(f"{address} cannot be asked for anew")
    if settings.offline():
        return _from_cache(address, subject, notes=())
    try:
        info = patiently(
            lambda: _ask(address),
            note=note,
            last_resort=bool(cache.resolve_cached(address.repo, address.revision)),
        )
    except ZooError:
        raise
    except Exception as error:
        scrub(error)
        stale = None if fresh else _stale(address, subject, error)
        if stale is not None:
            return stale
        told = translate(error, _with_help(subject, error))
        if told is None:
            raise
        raise told from error
    return _from_info(address, info, ways)


def _ask(address: Address) -> Any:
    """The Hub's answer about a revision; a web page or another API is no Hub."""
    try:
        return client.api().model_info(
            address.repo,
            revision=address.revision or None,
            files_metadata=True,
            timeout=client.timeout(),  # type: ignore[arg-type]
        )
    except http_error():
        raise
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _no_hub() from error


def _no_hub() -> HubError:
    return HubError(f"{shown()} does not answer like a Hub", hint="check HF_ENDPOINT")


def patiently(call: Callable[[], T], *, note: Note | None = None, last_resort: bool = False) -> T:
    """Call, and call again after a reset, a 5xx or a 429; not when nothing is reached at all.

    Args:
        call: A read that may be repeated.
        note: Told about waits, one line each.
        last_resort: There is a cached answer: one try is enough.
    """
    from huggingface_hub.errors import OfflineModeIsEnabled

    for turn in range(4):
        try:
            return call()
        except OfflineModeIsEnabled:
            raise
        except http_error() as error:
            answer = getattr(error, "response", None)
            status = getattr(answer, "status_code", None)
            again = status in _DOWN | {408, 429} if status else not is_unreachable(error)
            if turn == 3 or last_resort or not again:
                raise
            asked = retry_after(answer.headers) if answer is not None else None
            wait = min(asked if asked is not None else stream.backoff(turn + 1), LONGEST_WAIT_S)
            if note:
                what = f"HTTP {status}" if status else one_line(error)
                note(f"{shown()}: {what}; trying again in {wait:.0f} s")
            time.sleep(wait)
    raise AssertionError("unreachable")


def _from_info(address: Address, info: Any, ways: str) -> Repo:
    files = {}
    for sibling in info.siblings or ():
        large = sibling.lfs.sha256 if sibling.lfs else ""
        entry = Entry(
            path=sibling.rfilename, size=sibling.size, digest=large or sibling.blob_id or ""
        )
        files[entry.path] = entry
    if not is_commit(info.sha or ""):
        raise _no_hub()
    card = info.card_data.to_dict() if info.card_data else {}
    return Repo(
        address=address,
        commit=info.sha,
        endpoint=shown(),
        files=files,
        card=card,
        tags=tuple(info.tags or ()),
        ways=ways,
    )


def _from_cache(address: Address, subject: Subject, *, notes: tuple[str, ...]) -> Repo:
    """The repository as far as it is cached.

    Raises:
        HubError: Nothing of that revision is cached.
    """
    commit = cache.resolve_cached(address.repo, address.revision)
    if not commit:
        known = [*cache.cached_revisions(address.repo), *cache.cached_commits(address.repo)]
        if known:
            what = f"{address} is not in the cache; cached: {', '.join(known[:5])}"
        else:
            near = suggest(address.repo.rpartition("/")[2], cache.cached_repos())
            listed = f"; cached: {', '.join(near)}" if near else ""
            what = f"{address} is not in the cache{listed}"
        raise offline_error(what, hint=subject.ways)
    record = cache.pull_record(address.repo, commit)
    return Repo(
        address=address,
        commit=commit,
        endpoint=without_secrets(str(record.get("endpoint", ""))) or shown(),
        files=cache.cached_entries(address.repo, commit),
        card={"license": record["licence"]} if record.get("licence") else {},
        online=False,
        notes=notes,
        ways=subject.ways,
    )


def _stale(address: Address, subject: Subject, error: Exception) -> Repo | None:
    """What is cached, for a Hub that is down or out of reach; ``None`` for a real refusal."""
    answer = getattr(error, "response", None)
    status = getattr(answer, "status_code", None)
    down = status in _DOWN if status else isinstance(error, http_error())
    commit = cache.resolve_cached(address.repo, address.revision)
    if not (down and commit):
        return None
    why = f"HTTP {status}" if status else "out of reach"
    told = f"{shown()} is {why}: using the cached copy of {address}, commit {commit[:12]}"
    return _from_cache(address, subject, notes=(told,))


def _with_help(subject: Subject, error: Exception) -> Subject:
    """The subject with names that exist: cached repositories, or branches and tags."""
    from dataclasses import replace

    from huggingface_hub.errors import RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, RepositoryNotFoundError):
        near = suggest(subject.repo.rpartition("/")[2], cache.cached_repos())
        return replace(subject, near=tuple(name for name in near if name != subject.repo))
    if isinstance(error, RevisionNotFoundError):
        return replace(subject, known=_revisions(subject.repo))
    return subject


def _revisions(repo: str) -> tuple[str, ...]:
    try:
        refs = client.api().list_repo_refs(repo)
    except http_error() as error:
        scrub(error)
        return ()
    branches = [f"branch {ref.name}" for ref in refs.branches]
    return tuple([*branches, *(f"tag {ref.name}" for ref in refs.tags)][:8])
