"""The one door to the Hub client: endpoint, tokens, timeouts, offline mode.

``huggingface_hub`` is imported inside functions: it costs 240 ms that no listing should pay.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from zoo.core import settings
from zoo.errors import HubError
from zoo.hub.address import host_of, is_loopback
from zoo.hub.endpoint import endpoint, takes_token
from zoo.hub.failures import offline_error
from zoo.hub.tokens import constants, token_origin

if TYPE_CHECKING:
    from huggingface_hub import HfApi

CONNECT_S: Final = 5.0
"""Seconds to wait for a connection before the Hub counts as unreachable."""


def hub_cache() -> Path:
    """The standard cache of the Hub client (``HF_HUB_CACHE``, ``HF_HOME``)."""
    return Path(constants().HF_HUB_CACHE)


def timeout() -> tuple[float, float, float, float]:
    """Connect, read, write and pool timeouts in seconds; reading follows HF_HUB_DOWNLOAD_TIMEOUT."""
    read = float(constants().HF_HUB_DOWNLOAD_TIMEOUT)
    return (min(CONNECT_S, read), read, read, CONNECT_S)


def api() -> HfApi:
    """A client for the endpoint that is set, with the user's own token if there is one.

    Raises:
        HubError: Offline mode, or the token would travel in the clear.
    """
    require_online()
    constants()
    from huggingface_hub import HfApi

    guard_token(endpoint())
    return HfApi(endpoint=endpoint(), token=token_for(f"{endpoint()}/"), library_name="zoo")


def session() -> Any:
    """The client's HTTP session (httpx interface); the caller sets headers and timeouts.

    Raises:
        HubError: Offline mode.
    """
    require_online()
    constants()
    from huggingface_hub import get_session

    return get_session()


def reach() -> None:
    """Knock at the Hub, so that a dead network is an answer in seconds, not after 23 of retries.

    Raises:
        HubError: Offline mode.
        Exception: What the HTTP library raises when nothing is reached.
    """
    session().head(endpoint(), headers=headers(endpoint() + "/"), timeout=timeout())


def require_online() -> None:
    """Refuse to go on in offline mode.

    Raises:
        HubError: ``ZOO_OFFLINE`` or ``HF_HUB_OFFLINE`` is set.
    """
    if settings.offline():
        raise offline_error("no request is made")


def headers(url: str) -> dict[str, str]:
    """Request headers for ``url``: user agent, and the token where it belongs to the endpoint.

    Raises:
        HubError: The token would travel in the clear.
    """
    constants()
    from huggingface_hub.utils import build_hf_headers  # type: ignore[attr-defined]

    token = token_for(url)
    if token is None:
        guard_token(endpoint())
    made: dict[str, str] = build_hf_headers(token=token, library_name="zoo")
    return made


def token_for(url: str) -> Literal[False] | None:
    """What the client is told about the token: ``None`` = the user's own, ``False`` = none.

    Every call into the client that sends a request takes it: left out, the client adds the token
    by itself, wherever the request goes.
    """
    return None if takes_token() and url.startswith(endpoint() + "/") else False


def guard_token(address: str) -> None:
    """Refuse to send a token over plain http to another machine, or one that cannot be sent.

    Raises:
        HubError: There is a token and the address is ``http://`` and not this machine; or the token
            is no token.
    """
    from huggingface_hub import get_token

    origin = token_origin()
    if origin and not re.fullmatch(r"[!-~]+", get_token() or ""):
        raise HubError(
            f"the token of {origin} holds characters that no token has",
            hint=f"hf auth login, or correct {origin}",
        )
    if address.startswith("http://") and not is_loopback(address) and origin:
        raise HubError(
            f"refusing to send the token of {origin} in the clear to {host_of(address)}",
            hint="use https:// in HF_ENDPOINT, or HF_HUB_DISABLE_IMPLICIT_TOKEN=1 to send none",
        )
