"""Which Hub is asked: ``HF_ENDPOINT``, else a registry overlay's ``[hub] endpoint``, else the public one.

An overlay may lie in any folder that was cloned from anywhere, so it may name a Hub but not
receive a token: that takes ``HF_ENDPOINT``, which only the user sets.
"""

from __future__ import annotations

import os

from zoo.core import settings
from zoo.hub.address import without_secrets


def endpoint() -> str:
    """The Hub's address, without a trailing slash."""
    return settings.endpoint() if _chosen_by_user() else _of_overlay() or settings.endpoint()


def shown() -> str:
    """The Hub's address as it is printed and recorded; a password in it goes to the Hub only."""
    return without_secrets(endpoint())


def takes_token() -> bool:
    """Whether the user's token may be sent to :func:`endpoint`."""
    return _chosen_by_user() or not _of_overlay()


def _chosen_by_user() -> bool:
    return bool(os.environ.get("HF_ENDPOINT", "").strip())


def _of_overlay() -> str:
    from zoo.core import registry

    return registry.load().hub.get("endpoint", "").rstrip("/")
