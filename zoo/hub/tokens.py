"""Where the user's token comes from, and whether it is sent. The token itself is never looked at here."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from zoo.errors import UsageError
from zoo.hub.address import one_line
from zoo.hub.endpoint import takes_token

if TYPE_CHECKING:
    from types import ModuleType


def constants() -> ModuleType:
    """The client's settings, as it reads them from the environment when it is first imported.

    Raises:
        UsageError: A variable that must be a number is none.
    """
    try:
        from huggingface_hub import constants as settings_of_client
    except ValueError as error:
        named = [
            f"{name}={value}"
            for name, value in sorted(os.environ.items())
            if name.startswith("HF_") and repr(value) in str(error)
        ]
        raise UsageError(
            f"the Hub client does not accept {' or '.join(named) or one_line(error)}",
            hint="a number of seconds is expected: correct the variable or unset it",
        ) from error
    return settings_of_client


def token_origin() -> str:
    """Where the token comes from: ``HF_TOKEN``, the stored login's path, or empty for no token."""
    return _origin() if takes_token() else ""


def held_token() -> str:
    """Where a token comes from that is not sent, since only an overlay names the Hub; or empty."""
    return "" if takes_token() else _origin()


def _origin() -> str:
    settings_of_client = constants()
    from huggingface_hub import get_token

    if settings_of_client.HF_HUB_DISABLE_IMPLICIT_TOKEN or not get_token():
        return ""
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        if os.environ.get(name, "").strip():
            return name
    return str(settings_of_client.HF_TOKEN_PATH)
