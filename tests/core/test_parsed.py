"""zoo.core.parsed: read back what a file said, and never what it said before."""

from __future__ import annotations

import json
import os

import pytest

from zoo.core import parsed

BIG = 'schema = 1\n[[model]]\nname = "a"\nshare = 0.1\nflags = [true, inf]\n' + "# filler\n" * 600


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "parsed"


def no_parsing(monkeypatch):
    def fail(text):
        raise AssertionError("parsed again")

    monkeypatch.setattr(parsed, "_parse", fail)


def test_the_second_time_is_read_back_and_equal(cache, tmp_path, monkeypatch):
    first = parsed.toml(tmp_path / "registry.toml", BIG)
    assert first["model"][0] == {"name": "a", "share": 0.1, "flags": [True, float("inf")]}
    assert len(list(cache.iterdir())) == 1
    no_parsing(monkeypatch)
    assert parsed.toml(tmp_path / "registry.toml", BIG) == first


def test_an_edit_of_the_same_length_and_date_is_seen(cache, tmp_path):
    place = tmp_path / "registry.toml"
    for name in "ab":
        text = BIG.replace('"a"', f'"{name}"')
        place.write_text(text)
        os.utime(place, (1, 1))
        assert parsed.toml(place, text)["model"][0]["name"] == name
    assert len(list(cache.iterdir())) == 1


def test_two_files_of_one_name_are_kept_apart(cache, tmp_path):
    parsed.toml(tmp_path / "a" / "registry.toml", BIG)
    parsed.toml(tmp_path / "b" / "registry.toml", BIG)
    assert len(list(cache.iterdir())) == 2


@pytest.mark.parametrize("junk", [b"", b"{", b"[]", b'{"hash": 3}', b"\xff\xfe", b"[" * 9999])
def test_what_is_damaged_is_parsed_again_and_mended(cache, tmp_path, junk):
    good = parsed.toml(tmp_path / "registry.toml", BIG)
    (kept,) = cache.iterdir()
    kept.write_bytes(junk)
    assert parsed.toml(tmp_path / "registry.toml", BIG) == good
    assert json.loads(kept.read_text())["table"]["schema"] == 1


def test_small_files_and_dates_are_not_kept(cache, tmp_path):
    assert parsed.toml(tmp_path / "a.toml", "x = 1") == {"x": 1}
    assert parsed.toml(tmp_path / "b.toml", "d = 1979-05-27\n" + BIG)["d"].year == 1979
    assert not cache.exists() or not list(cache.iterdir())


def test_what_is_no_toml_is_not_kept(cache, tmp_path):
    with pytest.raises(ValueError, match="line 1"):
        parsed.toml(tmp_path / "registry.toml", "[[" + BIG)
    assert not cache.exists()


def test_a_cache_that_cannot_be_written_is_done_without(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    assert parsed.toml(tmp_path / "registry.toml", BIG)["schema"] == 1


def test_nobody_needs_a_home(tmp_path, monkeypatch):
    monkeypatch.delenv("ZOO_CACHE", raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)

    def homeless(cls):
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(parsed.settings.Path, "home", classmethod(homeless))
    assert parsed.toml(tmp_path / "registry.toml", BIG)["schema"] == 1


def test_a_check_is_made_before_parsing_and_only_then(cache, tmp_path):
    asked = []
    for _ in range(2):
        parsed.toml(tmp_path / "registry.toml", BIG, asked.append)
    assert asked == [BIG]

    def refuse(text):
        raise ValueError("too long")

    with pytest.raises(ValueError, match="too long"):
        parsed.toml(tmp_path / "other.toml", "x = 1", refuse)
