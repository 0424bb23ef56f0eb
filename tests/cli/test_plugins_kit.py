"""``zoo plugins new`` and ``check`` as people type them."""

from __future__ import annotations

import json

import pytest
from oddplugin import LOSS, PARTS


@pytest.fixture
def odd(site):
    site.manifest("odd", LOSS, **{"zoo_odd_parts.py": PARTS})


def test_new_writes_a_project_and_says_what_comes_next(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, err = zoo("plugins", "new", "mine", "--with", "loss")
    assert code == 0
    assert "zoo-mine/zoo_mine/losses.py" in out
    assert "pip install -e zoo-mine" in err
    assert (tmp_path / "zoo-mine" / "pyproject.toml").is_file()


def test_check_takes_a_folder_that_is_not_installed(zoo, tmp_path):
    zoo("plugins", "new", "mine", "--with", "loss", "--dir", tmp_path / "p")
    code, out, err = zoo("plugins", "check", tmp_path / "p")
    assert code == 0, out
    assert "hold, 0 fail" in err


def test_check_lists_what_fails_and_exits_with_11(zoo, odd):
    code, out, err = zoo("plugins", "check", "odd")
    assert code == 11
    assert "FAILED  loss bad: gives one number" in out
    assert "loss good" not in out
    assert "1 fail" in err


def test_verbose_also_lists_what_holds(zoo, odd):
    code, out, _ = zoo("plugins", "check", "odd", "-v", "--part", "good")
    assert code == 0
    assert "ok      loss good: gives one number" in out


def test_json_is_one_document_also_when_something_fails(zoo, odd):
    code, out, _ = zoo("plugins", "check", "odd", "--json")
    assert code == 11
    answers = json.loads(out)
    assert {a["state"] for a in answers} == {"ok", "failed", "skipped"}


def test_what_cannot_be_checked_is_a_usage_error(zoo, odd):
    assert zoo("plugins", "check", "nope")[0] == 2
    assert zoo("plugins", "check", "odd", "--root", "x")[0] == 2
    assert zoo("plugins", "new", "Not a name")[0] == 2
