from __future__ import annotations

import errno
import json
import os
import threading
import time

import pytest
import torch
from filelock import FileLock

from zoo.engine.prefix.store import ABOUT, DATA, LOCK, MARKS, FileStore, MemoryStore
from zoo.errors import BusyError, DiskError

CHUNKS, SHAPE = (3, 3, 2), (2, 5)


def values(dtype=torch.float32):
    return torch.arange(80, dtype=torch.float32).reshape(8, *SHAPE).to(dtype)


def filled(store, chunks=(0, 1, 2)):
    for chunk in chunks:
        rows = torch.arange(store.starts[chunk], store.starts[chunk + 1])
        store.write(chunk, rows, values(store.dtype)[rows])
    return store


def open_file(tmp_path, **about):
    return FileStore(tmp_path / "x", {"key": 1, **about}, CHUNKS, SHAPE, torch.bfloat16)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_rows_come_back_as_copies(tmp_path, dtype):
    stores = [
        MemoryStore(CHUNKS, SHAPE, dtype),
        FileStore(tmp_path / "x", {}, CHUNKS, SHAPE, dtype),
    ]
    for store in map(filled, stores):
        rows = torch.tensor([7, 0, 4])
        got = store.read(rows)
        assert torch.equal(got, values(dtype)[rows])
        got.zero_()
        assert torch.equal(store.read(rows), values(dtype)[rows])
        assert store.done == [True] * 3
        assert (store.rows, store.bytes) == (8, 80 * dtype.itemsize)
        store.close()


def test_missing_rows_are_remembered(tmp_path):
    store = open_file(tmp_path)
    store.write(1, torch.tensor([3, 5]), values(torch.bfloat16)[[3, 5]])
    store.close()
    again = open_file(tmp_path)
    assert again.missing == {4}
    assert torch.equal(again.read(torch.tensor([5])), values(torch.bfloat16)[[5]])
    again.close()


def test_a_killed_writer_leaves_whole_chunks(tmp_path):
    filled(open_file(tmp_path), (0, 1)).close()
    marks = tmp_path / "x" / MARKS
    marks.write_text(marks.read_text()[:-20])  # the last mark was being written
    again = open_file(tmp_path)
    assert again.done == [True, False, False]
    filled(again, (1, 2)).close()
    third = open_file(tmp_path)
    assert third.done == [True] * 3
    assert third.reused == 3
    assert not third.note
    third.close()


@pytest.mark.parametrize("harm", ["flip", "shorten", "remove"])
def test_damage_is_computed_again(tmp_path, harm):
    filled(open_file(tmp_path)).close()
    file = tmp_path / "x" / DATA
    if harm == "flip":
        raw = bytearray(file.read_bytes())
        raw[70] ^= 4  # in the second chunk
        file.write_bytes(raw)
    elif harm == "shorten":
        os.truncate(file, 100)
    else:
        file.unlink()
    again = open_file(tmp_path)
    assert again.done == ([True, False, True] if harm == "flip" else [False] * 3)
    assert "damaged" in again.note
    again.close()


def test_another_key_starts_anew(tmp_path):
    filled(open_file(tmp_path)).close()
    other = open_file(tmp_path, key=2)
    assert not any(other.done)
    other.close()
    assert json.loads((tmp_path / "x" / ABOUT).read_text())["key"] == 2


def test_forgetting_is_for_good(tmp_path):
    store = filled(open_file(tmp_path))
    store.forget()
    store.close()
    again = open_file(tmp_path)
    assert not any(again.done)
    again.close()


def test_what_is_not_for_later_runs_is_gone_before_and_after_one(tmp_path):
    filled(open_file(tmp_path)).close()
    own = FileStore(tmp_path / "x", {"key": 1}, CHUNKS, SHAPE, torch.bfloat16, lasting=False)
    assert not any(own.done)
    assert torch.equal(filled(own).read(torch.arange(8)), values(torch.bfloat16))
    own.close()
    assert not (tmp_path / "x" / DATA).exists()


def test_two_runs_do_not_share_a_file(tmp_path):
    store = open_file(tmp_path)
    with pytest.raises(BusyError):
        open_file(tmp_path)
    store.close()
    open_file(tmp_path).close()


@pytest.mark.skipif(not hasattr(os, "posix_fallocate"), reason="no reserving here")
@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "full"), KeyboardInterrupt()])
def test_space_that_could_not_be_reserved_is_reserved_the_next_time(tmp_path, monkeypatch, error):
    def fail(*_arguments):
        raise error

    with monkeypatch.context() as patch:
        patch.setattr(os, "posix_fallocate", fail)
        with pytest.raises((DiskError, KeyboardInterrupt)) as raised:
            open_file(tmp_path)
    if isinstance(raised.value, DiskError):
        assert "ZOO_CACHE" in raised.value.hint
    asked = []
    monkeypatch.setattr(os, "posix_fallocate", lambda *given: asked.append(given[1:]))
    filled(open_file(tmp_path)).close()
    assert asked == [(0, 160)]
    again = open_file(tmp_path)
    assert asked == [(0, 160)]
    assert all(again.done)
    again.close()


def test_a_folder_that_is_being_deleted_is_made_anew(tmp_path):
    filled(open_file(tmp_path)).close()
    held = threading.Event()

    def delete():
        with FileLock(tmp_path / "x" / LOCK):
            held.set()
            time.sleep(0.03)
            (tmp_path / "x").rename(tmp_path / "gone")

    thread = threading.Thread(target=delete)
    thread.start()
    held.wait()
    store = filled(open_file(tmp_path))
    thread.join()
    assert store.reused == 0
    assert (tmp_path / "x" / DATA).stat().st_size == store.bytes
    store.close()


def test_a_folder_that_cannot_be_made_is_a_disk_error(tmp_path):
    (tmp_path / "x").write_text("a file")
    with pytest.raises(DiskError):
        open_file(tmp_path)
