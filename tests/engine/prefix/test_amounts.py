from __future__ import annotations

import pytest

from zoo.engine.prefix.amounts import parse_size, say_size
from zoo.errors import UsageError


@pytest.mark.parametrize(
    ("text", "count"),
    [("1000", 1000), ("500MB", 500_000_000), ("1.5GiB", 3 << 29), ("2k", 2000), ("0", 0)],
)
def test_sizes_are_read(text, count):
    assert parse_size(text) == count


@pytest.mark.parametrize("text", ["", "GB", "-1", "5 apples", "1e9"])
def test_other_texts_are_refused(text):
    with pytest.raises(UsageError, match="not a size"):
        parse_size(text)


@pytest.mark.parametrize(
    ("count", "text"),
    [
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (57_400_000, "57 MB"),
        (2_000_000_000, "2.0 GB"),
    ],
)
def test_sizes_are_said(count, text):
    assert say_size(count) == text
