"""Files and functions stay short enough to be read at once."""

import statistics

import pytest
from sources import functions, length, name_of, python_files, text

LINES = {path: len(text(path).splitlines()) for path in python_files()}


def p90(numbers):
    return sorted(numbers)[int(len(numbers) * 0.9)]


@pytest.mark.parametrize("path", LINES, ids=name_of)
def test_no_file_is_longer_than_400_lines(path):
    assert LINES[path] <= 400


@pytest.mark.parametrize("path", LINES, ids=name_of)
def test_no_function_is_longer_than_60_lines(path):
    assert [
        f"{name}: {length(node)}" for name, node, _ in functions(path) if length(node) > 60
    ] == []


def test_most_files_are_much_shorter():
    assert p90(LINES.values()) <= 300
    assert statistics.median(LINES.values()) <= 160


def test_most_functions_are_much_shorter():
    lengths = [length(node) for path in LINES for _, node, _ in functions(path)]
    assert p90(lengths) <= 25
    assert statistics.median(lengths) <= 10
