"""A Hub's data set is fetched once, by commit, verified, and used without a request from then on."""

from __future__ import annotations

import json

import pytest

from zoo.core import registry
from zoo.errors import DataError, UsageError
from zoo_datasets.card import Wanted
from zoo_datasets.hub import get

COLOURS = Wanted("anna/colours", "", "")


def fetch(tmp_path, wanted=COLOURS, *, download=True):
    return get(wanted, tmp_path / "root", tmp_path / "hub", download=download)


def failing(tmp_path, wanted=COLOURS, *, download=True):
    with pytest.raises((DataError, UsageError)) as raised:
        fetch(tmp_path, wanted, download=download)
    return raised.value.message, raised.value.hint


def test_fetched_once_by_commit(filled, tmp_path):
    got = fetch(tmp_path)
    assert got.commit == filled.store.repos["anna/colours"].head.oid
    found = sorted(p.relative_to(got.folder).as_posix() for p in got.folder.rglob("*.*"))
    assert found == [
        "README.md",
        "data/test-00000-of-00001.parquet",
        "data/train-00000-of-00001.parquet",
        "data/validation-00000-of-00001.parquet",
    ]
    asked = len(filled.seen)
    assert fetch(tmp_path) == fetch(tmp_path, download=False) == got
    assert len(filled.seen) == asked
    filled.store.commit("anna/colours", {"data/train-00001.parquet": b"more"})
    assert fetch(tmp_path) == got  # what is here is used until another revision is asked for
    filled.store.tag("anna/colours", "v2")
    assert fetch(tmp_path, COLOURS._replace(revision="v2")).commit != got.commit


def test_a_file_that_is_gone_is_fetched_again(filled, tmp_path):
    got = fetch(tmp_path)
    (got.folder / "data/train-00000-of-00001.parquet").resolve().unlink()
    assert "add --download" in failing(tmp_path, download=False)[1]
    assert (fetch(tmp_path).folder / "data/train-00000-of-00001.parquet").is_file()


def test_not_here(hub, tmp_path, monkeypatch):
    message, hint = failing(tmp_path, download=False)
    assert (message, hint) == (f"anna/colours is not in {tmp_path / 'root'}", "add --download")
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    message, hint = failing(tmp_path)
    assert "no request is made (offline)" in message
    assert "--data-root" in hint
    assert hub.seen == []


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        (Wanted("", "", ""), "needs a repository"),
        (Wanted("a/b/c", "", ""), "is not a repository"),
        (Wanted("../etc", "", ""), "is not a repository"),
        (Wanted("anna/nope", "", ""), "has no data set anna/nope"),
        (Wanted("anna/colours", "", "v9"), "has no revision 'v9'"),
        (Wanted("anna/colours", "large", ""), "has no configuration 'large': default"),
    ],
)
def test_what_is_not_there(filled, tmp_path, wanted, message):
    assert message in failing(tmp_path, wanted)[0]


def test_gated_and_broken_and_gone(filled, tmp_path):
    filled.store.repos["anna/colours"].gated = True
    message, hint = failing(tmp_path)
    assert message == "anna/colours is gated"
    assert "/datasets/anna/colours" in hint
    filled.store.repos["anna/colours"].gated = False
    filled.fault("status", path=r"/api/datasets/.*", status=500)
    assert "answers 500" in failing(tmp_path)[0]
    filled.stop()
    message, hint = failing(tmp_path)
    assert "cannot fetch anna/colours from 127.0.0.1" in message
    assert "HF_ENDPOINT" in hint


def test_a_token_is_not_sent_in_the_clear(filled, tmp_path, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example.org")
    message, hint = failing(tmp_path)
    assert "in the clear to hub.example.org" in message
    assert "HF_HUB_DISABLE_IMPLICIT_TOKEN" in hint
    monkeypatch.setenv("HF_ENDPOINT", filled.endpoint)
    filled.store.repos["anna/colours"].private = True
    monkeypatch.setenv("HF_TOKEN", filled.store.token("anna"))
    assert fetch(tmp_path).commit


def test_a_hub_that_an_overlay_names_is_asked_without_a_token(filled, tmp_path, monkeypatch):
    """It was not asked at all: the request went to the public Hub."""
    monkeypatch.delenv("HF_ENDPOINT")
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path))
    monkeypatch.setenv("HF_TOKEN", filled.store.token("anna"))
    monkeypatch.chdir(tmp_path)
    said = f"schema = 1\n[hub]\nendpoint = '{filled.endpoint}'\n"
    (tmp_path / "registry.toml").write_text(said)
    registry.load.cache_clear()
    try:
        assert fetch(tmp_path).commit == filled.store.repos["anna/colours"].head.oid
        assert filled.seen
        assert not [request for request in filled.seen if request.authorized]
        filled.store.repos["anna/colours"].gated = True
        message, hint = failing(tmp_path / "other")
        assert message == "anna/colours is gated"
        assert f"HF_ENDPOINT={filled.endpoint} to send it your token" in hint
    finally:
        registry.load.cache_clear()


@pytest.mark.parametrize("large", [False, True])
def test_a_flipped_bit_is_noticed(hub, tmp_path, monkeypatch, large):
    monkeypatch.setattr("loopback_store.LFS_SUFFIXES", (".parquet",) if large else (".bin",))
    hub.store.commit("anna/colours", {"train.parquet": b"x" * 5000})
    hub.fault("flip", path=".*", least=5000, after=17)
    assert "train.parquet came damaged" in failing(tmp_path)[0]
    got = fetch(tmp_path)
    assert (got.folder / "train.parquet").read_bytes() == b"x" * 5000


def test_code_and_pickles_are_never_fetched(hub, tmp_path):
    files = ("train.parquet", "tool.py", "cache.pkl", "model.bin", "run.sh")
    hub.store.commit("anna/colours", dict.fromkeys(files, b"x"))
    got = fetch(tmp_path)
    assert [p.name for p in got.folder.iterdir()] == ["train.parquet"]
    hub.store.commit("anna/colours", {"colours.py": b"import os"})
    message, hint = failing(tmp_path, COLOURS._replace(revision="main2"))
    assert "has no revision" in message
    hub.store.tag("anna/colours", "script")
    message, hint = failing(tmp_path, COLOURS._replace(revision="script"))
    assert "is made by a program (colours.py), and zoo runs none" in message
    assert "refs/convert/parquet" in hint
    assert not hub.asked(r"\.(py|pkl|bin|sh)$")


def test_nothing_but_words(hub, tmp_path):
    assert "holds no files of data: .gitattributes" in failing(tmp_path)[0]


def test_a_note_of_strangers_is_no_note(filled, tmp_path):
    got = fetch(tmp_path)
    (note,) = (tmp_path / "root").rglob("*.json")
    assert json.loads(note.read_text())["commit"] == got.commit
    note.write_text("[]")
    assert "add --download" in failing(tmp_path, download=False)[1]
