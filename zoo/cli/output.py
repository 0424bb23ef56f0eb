"""The one sink for what commands say: tables, JSON, names to stdout; notes and errors to stderr."""

from __future__ import annotations

import os
import re
import sys
from dataclasses import asdict, is_dataclass
from typing import TYPE_CHECKING, Final, Literal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from zoo.errors import ZooError

_CONTROL: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]"
)
Form = Literal["table", "json", "names"]


class Out:
    """Where a command's words go.

    Args:
        form: ``table`` for people, ``json`` for programs, ``names`` for pipes.
    """

    def __init__(self, form: Form = "table") -> None:
        self.form: Final = form

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[object]],
        *,
        right: Iterable[str] = (),
    ) -> None:
        """Print rows under column heads, aligned, cut to the terminal's width (never in a pipe).

        Args:
            columns: Heads; an empty list of rows prints nothing.
            rows: Cells; ``None`` shows as nothing.
            right: Columns that are aligned to the right.
        """
        cells = [["" if cell is None else one_line(str(cell)) for cell in row] for row in rows]
        if not cells:
            return
        limit = os.get_terminal_size().columns if sys.stdout.isatty() else 0
        to_right = set(right)
        aligned = []
        for head, column in zip(columns, zip(*cells, strict=True), strict=True):
            width = max(len(head), *map(len, column))
            form = f"{{:{'>' if head in to_right else '<'}{width}}}".format
            aligned.append([form(cell) for cell in (head.upper(), *column)])
        for row in zip(*aligned, strict=True):
            self.line(_cut("  ".join(row).rstrip(), limit))

    def pairs(self, items: Iterable[tuple[str, object]], *, indent: int = 0) -> None:
        """Print ``name  value`` lines, names aligned; empty values are left out."""
        kept = [(name, str(value)) for name, value in items if value not in (None, "", (), [], {})]
        width = max((len(name) for name, _ in kept), default=0)
        for name, value in kept:
            first, *more = value.splitlines() or [""]
            self.line(f"{' ' * indent}{name.ljust(width)}  {first}")
            for line in more:
                self.line(f"{' ' * (indent + width)}  {line}")

    def json(self, value: object) -> None:
        """Print one JSON document; a number that JSON has not (nan, infinite) is ``null``."""
        import json

        try:
            text = json.dumps(value, default=_plain, indent=2, ensure_ascii=False, allow_nan=False)
        except ValueError:
            known = json.dumps(value, default=_plain)
            tame = json.loads(known, parse_constant=lambda _name: None)
            text = json.dumps(tame, indent=2, ensure_ascii=False)
        self.line(text)

    def line(self, text: str = "") -> None:
        """Print one line to stdout."""
        sys.stdout.write(plain(text) + "\n")

    def note(self, text: str) -> None:
        """Print one line to stderr: what is good to know but not the answer."""
        sys.stderr.write(plain(text) + "\n")
        sys.stderr.flush()

    def error(self, error: ZooError, code: int) -> None:
        """Print an error as ``error: ...`` and ``hint: ...``, or as a JSON object."""
        if self.form == "json":
            self.json({"error": error.message, "hint": error.hint, "exit_code": code})
            return
        sys.stdout.flush()
        self.note(f"error: {error.message}")
        for line in filter(None, error.hint.splitlines()):
            self.note(f"hint: {line}")


def plain(text: str) -> str:
    r"""Text for a terminal, whoever wrote it: what would steer the terminal is spelled out.

    Escape sequences, other control characters but line breaks and tabs, marks that reverse the
    direction of writing, and undecodable bytes of file names come out as ``\u001b``, which is
    also what JSON writes.
    """
    if text.isprintable():
        return text
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def one_line(text: str) -> str:
    """As :func:`plain`, line breaks and tabs spelled out as well: a name, a cell."""
    if text.isprintable():
        return text
    return plain(text).replace("\n", "\\n").replace("\t", "\\t")


def _cut(text: str, limit: int) -> str:
    return text if not limit or len(text) <= limit else text[: limit - 1] + "…"


def _plain(value: object) -> object:
    if is_dataclass(value) and not isinstance(value, type):
        return asdict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)


def count(number: int | None) -> str:
    """A number of parameters as people write it: 11.7M, 345K, 12."""
    if number is None:
        return "?"
    for size, unit in ((1_000_000_000, "B"), (1_000_000, "M"), (1_000, "K")):
        if number >= size:
            return f"{number / size:.1f}{unit}"
    return str(number)


def size(number: float | None) -> str:
    """Bytes as people write them: 46.8 MB."""
    if number is None:
        return ""
    for limit, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if number >= limit:
            return f"{number / limit:.1f} {unit}"
    return f"{number:.0f} B"


def percent(metrics: Mapping[str, float], name: str) -> str:
    """The first metric whose name ends in ``name``, with two decimals; empty if there is none."""
    for key, value in metrics.items():
        if key == name or key.endswith("/" + name):
            return f"{value:.2f}"
    return ""
