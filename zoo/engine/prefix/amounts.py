"""Bytes in words, read and said."""

from __future__ import annotations

import re

from zoo.errors import UsageError

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?\Z", re.IGNORECASE)
_POWERS = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}


def parse_size(text: str) -> int:
    """Bytes of ``500MB``, ``2GB``, ``1.5GiB`` or a plain number.

    Raises:
        UsageError: It is none of these.
    """
    match = _SIZE.match(text.strip())
    if match is None:
        raise UsageError(
            f"--cache-size {text!r} is not a size", hint="write 500MB, 20GB or a number of bytes"
        )
    base = 1024 if match[3] else 1000
    return int(float(match[1]) * base ** _POWERS[match[2].lower()])


def say_size(count: int) -> str:
    """Bytes in words: 57 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:.0f} {unit}" if count >= 10 or unit == "B" else f"{count:.1f} {unit}"
        count = count // 1000 if count >= 10_000 else count / 1000  # type: ignore[assignment]
    return f"{count:.1f} TB"
