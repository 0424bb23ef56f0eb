import json
import math
from dataclasses import dataclass
from pathlib import Path

import pytest

from zoo.cli.output import Out, count, percent, size
from zoo.errors import UsageError


@dataclass
class Thing:
    name: str
    tags: frozenset


def test_a_table_is_aligned_and_never_cut_in_a_pipe(capsys):
    Out().table(("name", "n"), [("a", 1), ("long name", None), ("b", "x" * 300)], right=("n",))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["NAME", "N"]
    assert lines[1].startswith("a        ")
    assert lines[1].endswith(" 1")
    assert lines[2] == "long name"
    assert lines[3].endswith("x" * 300)


def test_no_rows_print_nothing(capsys):
    Out().table(("name",), [])
    assert capsys.readouterr().out == ""


def test_a_terminal_gets_its_width(capsys, monkeypatch):
    import os
    import sys

    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setattr(os, "get_terminal_size", lambda: os.terminal_size((10, 5)))
    Out().table(("name",), [("x" * 30,), ("short",)])
    lines = capsys.readouterr().out.splitlines()
    assert lines[1] == "x" * 9 + "…"
    assert lines[2] == "short"


def test_pairs_leave_empty_values_out_and_indent_further_lines(capsys):
    Out().pairs([("a", 1), ("none", None), ("empty", ""), ("zero", 0), ("two", "x\ny")], indent=2)
    assert capsys.readouterr().out == "  a     1\n  zero  0\n  two   x\n        y\n"


def test_json_knows_records_sets_and_paths(capsys, tmp_path):
    Out("json").json({"thing": Thing("ä", frozenset("ba")), "path": tmp_path})
    out = capsys.readouterr().out
    assert json.loads(out) == {"thing": {"name": "ä", "tags": ["a", "b"]}, "path": str(tmp_path)}
    assert "ä" in out


def test_notes_and_errors_go_to_stderr(capsys):
    Out().note("good to know")
    Out().error(UsageError("wrong", hint="do this\nor that"), 2)
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "good to know\nerror: wrong\nhint: do this\nhint: or that\n"


def test_json_has_no_numbers_that_json_has_not(capsys):
    Out("json").json({"loss": math.nan, "all": [1.5, math.inf], "path": Path("ä")})
    out = capsys.readouterr().out
    refuse = {"parse_constant": pytest.fail}
    assert json.loads(out, **refuse) == {"loss": None, "all": [1.5, None], "path": "ä"}


def test_an_error_for_programs_is_json(capsys):
    Out("json").error(UsageError("wrong", hint="do"), 2)
    assert json.loads(capsys.readouterr().out) == {"error": "wrong", "hint": "do", "exit_code": 2}


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, "?"), (12, "12"), (345_000, "345.0K"), (11_689_512, "11.7M"), (2_500_000_000, "2.5B")],
)
def test_parameters_as_people_write_them(number, text):
    assert count(number) == text


@pytest.mark.parametrize(
    ("number", "text"),
    [(None, ""), (12, "12 B"), (46_830_571, "46.8 MB"), (1e9, "1.0 GB"), (2048, "2.0 kB")],
)
def test_bytes_as_people_write_them(number, text):
    assert size(number) == text


def test_the_metric_that_is_asked_for():
    assert percent({"imagenet1k/top1": 69.758}, "top1") == "69.76"
    assert percent({"top1": 3}, "top1") == "3.00"
    assert percent({"stop1": 3}, "top1") == ""
