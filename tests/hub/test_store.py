import json

import pytest

from zoo.hub import store
from zoo.hub.failures import DamagedError


def put(name="w.safetensors", data=b"x"):
    path = store.folder() / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def test_what_was_kept_is_ready(here):
    path = put()
    digest = store.keep(path, source="url:https://x/w.pth", origin="ab" * 32, origin_bytes=9)
    assert store.ready(path, "abab") == digest
    assert store.ready(path, "") == digest
    assert store.record_of(path)["origin_bytes"] == 9
    assert list(store.stored()) == [path]


def test_another_origin_or_no_record_is_not_ready(here):
    path = put()
    assert store.ready(path, "") == ""
    store.keep(path, source="s", origin="ab" * 32)
    assert store.ready(path, "ff") == ""
    assert path.is_file()
    store.record_path(path).write_text("damaged")
    assert store.record_of(path) == {}
    assert store.ready(path, "") == ""


def test_a_damaged_file_is_removed(here):
    path = put()
    store.keep(path, source="s", origin="ab" * 32)
    path.write_bytes(b"y")
    assert store.ready(path, "ab") == ""
    assert not path.exists()


def test_records_hold_no_path(here):
    path = put()
    store.keep(path, source="s", origin="ab" * 32)
    assert str(path.parent) not in json.dumps(store.record_of(path))
    assert list(store.stored())


def test_an_empty_cache(here):
    assert list(store.stored()) == []


def test_a_damaged_file_that_cannot_be_made_anew_stays(here):
    path = put()
    store.keep(path, source="s", origin="ab" * 32)
    path.write_bytes(b"y")
    with pytest.raises(DamagedError, match="is damaged") as told:
        store.ready(path, "ab", anew=False)
    assert "zoo verify --remove" in told.value.hint
    assert path.exists()
