"""The address of the Hub that is asked (:func:`zoo.core.settings.hub`), as it is used and as it is shown."""

from __future__ import annotations

from zoo.core.settings import hub
from zoo.hub.address import without_secrets


def endpoint() -> str:
    """The Hub's address, without a trailing slash."""
    return hub().endpoint


def shown() -> str:
    """The Hub's address as it is printed and recorded; a password in it goes to the Hub only."""
    return without_secrets(endpoint())


def takes_token() -> bool:
    """Whether the user's token may be sent to :func:`endpoint`."""
    return hub().takes_token
