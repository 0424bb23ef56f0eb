"""What a run wrote down of its epochs, read again. No torch."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

METRICS_FILE: Final = "metrics.jsonl"
_LONGEST: Final = 1_000_000


def epoch_rows(folder: Path) -> Iterator[dict[str, Any]]:
    """The rows about epochs, in order; the many about steps, and torn ones, are passed over.

    Args:
        folder: A run's folder; nothing comes of one without such a file.

    Yields:
        Rows as :meth:`zoo.engine.reports.EpochReport.row` made them; ``epoch`` is a number, all else
        is as the file has it.
    """
    try:
        with (folder / METRICS_FILE).open("rb") as file:
            while line := file.readline(_LONGEST):
                if b'"kind":"step"' in line[:40]:
                    continue
                try:
                    row = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                epoch = isinstance(row, dict) and row.get("kind") == "epoch"
                if epoch and type(row.get("epoch")) is int:
                    yield row
    except OSError:
        return
