"""The address of the Hub that is asked (:func:`zoo.core.registry.hub`), as it is used and as it is shown."""

from __future__ import annotations

from zoo.core import registry
from zoo.hub.address import without_secrets


def endpoint() -> str:
    """The Hub's address, without a trailing slash."""
    return registry.hub().endpoint


def shown() -> str:
    """The Hub's address as it is printed and recorded; a password in it goes to the Hub only."""
    return without_secrets(endpoint())


def takes_token() -> bool:
    """Whether the user's token may be sent to :func:`endpoint`."""
    return registry.hub().takes_token
