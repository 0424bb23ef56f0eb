"""How large and how deep a file may be that somebody else wrote: checked before it is parsed."""

from __future__ import annotations

import re
from typing import Any, Final

MAX_BYTES: Final = 32_000_000
"""Larger files are refused unread; the largest catalogue known has 0.5 MB."""
MAX_DEPTH: Final = 32
_LONG_KEY: Final = (
    rf"""(?<![\w-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){{{MAX_DEPTH + 1}}}"""
)


def endless_key(text: str) -> bool:
    """Whether TOML text has a dotted key of more than :data:`MAX_DEPTH` parts.

    ``tomllib`` needs memory by the square of them: 10 GB for a key of 50,000.
    """
    return re.search(_LONG_KEY, text) is not None


def deeper_than(value: Any) -> bool:
    """Whether tables and lists lie inside one another more than :data:`MAX_DEPTH` times."""
    level: list[Any] = [value] if isinstance(value, dict | list) else []
    for _ in range(MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, dict | list)
        ]
        if not level:
            return False
    return True
