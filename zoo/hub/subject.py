"""What a request was about."""

from __future__ import annotations

from dataclasses import dataclass

from zoo.hub.endpoint import shown


@dataclass(frozen=True, slots=True, kw_only=True)
class Subject:
    """What a request was about, for the message.

    Attributes:
        repo: Repository id.
        revision: Revision that was asked for.
        file: File that was asked for.
        host: Where it was asked; empty = the Hub's endpoint.
        verb: ``read`` or ``write``.
        ways: Ways on when the Hub cannot be reached.
        near: Close names that are known here, for a repository that is not found.
        known: Revisions or files that exist, for one that does not.
    """

    repo: str = ""
    revision: str = ""
    file: str = ""
    host: str = ""
    verb: str = "read"
    ways: str = ""
    near: tuple[str, ...] = ()
    known: tuple[str, ...] = ()

    @property
    def where(self) -> str:
        """The host or endpoint, for the message."""
        return self.host or shown()
