"""Where weights lie: ``hub:org/repo[@revision]``, ``url:``, ``file:`` and ``package:`` taken apart.

Nothing here touches the network or the client, so a malformed name is refused before any call.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from zoo.errors import UsageError

_PART: Final = re.compile(r"[A-Za-z0-9_](?:[\w.-]{0,94}[A-Za-z0-9_])?\Z", re.ASCII)
_LOOPBACK: Final = re.compile(r"127(\.\d{1,3}){3}\Z")
_COMMIT: Final = re.compile(r"[0-9a-f]{40}\Z")
_PAGE: Final = re.compile(
    r"(?:https?://)?(?:huggingface\.co|hf\.co)/([\w.-]+/[\w.-]+)(?:/(?:tree|blob|resolve)/([^/?#]+))?"
)
_SPACES: Final = re.compile(r"\s+")
_URL: Final = re.compile(
    r"""(https?://)(?:[^\s/?#'"<>]*@)?([^\s?#'"<>]*)(?:[?#][^\s'"<>]*)?""", re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Address:
    """A repository on the Hub at a revision.

    Attributes:
        repo: ``org/repo``, or a bare name for the oldest repositories.
        revision: Branch, tag, ``refs/pr/N`` or commit; empty = the default branch.
    """

    repo: str
    revision: str = ""

    @property
    def pinned(self) -> bool:
        """Whether the revision is a full commit, which never moves."""
        return is_commit(self.revision)

    def __str__(self) -> str:
        return f"hub:{self.repo}@{self.revision}" if self.revision else f"hub:{self.repo}"


def is_commit(revision: str) -> bool:
    """Whether ``revision`` is a full commit: 40 hex digits."""
    return _COMMIT.match(revision) is not None


def parse_address(text: str) -> Address:
    """Parse ``[hub:]org/repo[@revision]``.

    Raises:
        UsageError: It is not a repository id; the hint says what was probably meant.
    """
    body = text.removeprefix("hub:")
    page = _PAGE.match(body)
    if page:
        meant = f"hub:{page[1]}" + (f"@{page[2]}" if page[2] else "")
        raise UsageError(f"{text!r} is a web address, not a repository id", hint=f"write {meant}")
    repo, at, revision = body.partition("@")
    owner, slash, name = repo.rpartition("/")
    good = _is_part(name) and (not slash or _is_part(owner))
    if not good or len(repo) > 96:
        raise UsageError(
            f"{text!r} is not a repository id", hint="expected hub:user/name[@revision]"
        )
    if at and not _is_revision(revision):
        raise UsageError(
            f"{text!r}: {revision!r} is not a revision",
            hint="a branch, a tag, refs/pr/N, or a commit of 40 hex digits",
        )
    return Address(repo, revision)


def _is_part(text: str) -> bool:
    bad = "--" in text or ".." in text or text.endswith((".git", ".ipynb"))
    return _PART.match(text) is not None and not bad


def _is_revision(text: str) -> bool:
    bad = not text or ".." in text or text.startswith(("-", "/")) or text.endswith("/")
    return not bad and not any(c.isspace() or c in "~^:?*[\\" for c in text)


def is_loopback(url: str) -> bool:
    """Whether a URL points at this machine."""
    host = host_of(url)
    return host in {"localhost", "::1"} or _LOOPBACK.match(host) is not None


def host_of(url: str) -> str:
    """The host of a URL, lower case, without port."""
    from urllib.parse import urlsplit

    return (urlsplit(url).hostname or "").lower()


def without_secrets(text: str) -> str:
    """A text whose web addresses have lost what may open doors: user, password and query string."""
    return _URL.sub(r"\1\2", text)


def one_line(error: BaseException | str, limit: int = 300) -> str:
    """An error's text on one line, shortened; addresses in it without passwords and signatures."""
    text = _SPACES.sub(" ", without_secrets(str(error))).strip()
    return text if len(text) <= limit else text[: limit - 1] + "…"
