"""What a refusal means, by the token: none, a wrong one, one without the right, or one held back.

A Hub that only a registry overlay names gets no token (:mod:`zoo.hub.endpoint`), so its refusals are
no reason to log in.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.errors import HubError
from zoo.hub.endpoint import shown
from zoo.hub.tokens import held_token, token_origin

if TYPE_CHECKING:
    from zoo.hub.subject import Subject


def no_repository(status: int, subject: Subject) -> HubError:
    """The error for a repository that is not there, or that the token may not see."""
    origin = token_origin()
    near = f"; known here: {', '.join(subject.near)}" if subject.near else ""
    if origin and status == 401:
        return HubError(
            f"the token of {origin} was not accepted by {subject.where}",
            hint=f"hf auth login, or correct {origin}",
        )
    if origin:
        return HubError(
            f"no repository {subject.repo} on {subject.where}, or the token of {origin} may not see it",
            hint=f"check the name{near}",
        )
    missing = f"no repository {subject.repo} on {subject.where}, or it is private"
    if held_token():
        held = token_held()
        return HubError(f"{missing}: {held.message}", hint=f"check the name{near}; {held.hint}")
    return HubError(missing, hint=f"check the name, or hf auth login{near}")


def no_right(status: int, subject: Subject, what: str) -> HubError:
    """The error for a 401 or 403: a wrong token, none, or one that is not sent."""
    origin = token_origin()
    if subject.host:
        return HubError(
            f"{subject.host} refuses {subject.file or what}: HTTP {status}",
            hint=subject.ways or "check the address",
        )
    if held_token():
        held = token_held()
        return HubError(f"no right to {subject.verb} {what}: {held.message}", hint=held.hint)
    if not origin:
        return HubError(
            f"without a token, {subject.where} does not let you {subject.verb} {what}",
            hint="hf auth login, or set HF_TOKEN",
        )
    if status == 401:
        return HubError(
            f"the token ({origin}) was not accepted by {subject.where}",
            hint="hf auth login, or set HF_TOKEN to a valid token",
        )
    return HubError(
        f"the token ({origin}) may not {subject.verb} {what}",
        hint="use a token with that right: hf auth login, or set HF_TOKEN",
    )


def not_logged_in() -> HubError:
    """The error for a request that needs a token where none is sent."""
    if held_token():
        return token_held()
    return HubError("not logged in to the Hub", hint="hf auth login, or set HF_TOKEN")


def token_held() -> HubError:
    """The error for a token that is not sent, since only an overlay names the Hub."""
    return HubError(
        f"the token of {held_token()} is not sent to {shown()}, which an overlay names",
        hint=f"if you trust it: HF_ENDPOINT={shown()} zoo ... sends it",
    )


def login() -> str:
    """The way to a token that is sent, for a hint."""
    return token_held().hint if held_token() else "hf auth login"
