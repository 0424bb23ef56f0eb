import errno
import hashlib
import os
import subprocess

import pytest

from zoo.errors import DiskError, HubError
from zoo.hub import files


def test_digests(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"hello\n")
    assert files.sha256_file(path) == hashlib.sha256(b"hello\n").hexdigest()
    steps = []
    files.sha256_file(path, progress=lambda d, total: steps.append((d, total)))
    assert steps == [(6, 6)]
    git = subprocess.run(
        ["git", "hash-object", str(path)], capture_output=True, text=True, check=True
    )
    assert files.git_blob_sha1(path) == git.stdout.strip()
    assert files.digest_like(path, "0" * 40) == git.stdout.strip()
    assert files.digest_like(path, "0" * 64) == files.sha256_file(path)
    with pytest.raises(HubError, match="cannot read"):
        files.sha256_file(tmp_path / "none")


def test_writing_is_whole_and_leaves_nothing_behind(tmp_path):
    target = tmp_path / "a" / "b.json"
    files.write_atomically(target, b"{}")
    files.write_atomically(target, b'{"x": 1}')
    assert files.read_json(target) == {"x": 1}
    assert [p.name for p in target.parent.iterdir()] == ["b.json"]
    (tmp_path / "plain").touch()
    assert target.stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_place_that_cannot_be_written(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DiskError):
        files.write_atomically(tmp_path / "file" / "x", b"")
    with pytest.raises(DiskError):
        files.move_into_place(tmp_path / "none", tmp_path / "x")


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"\xff", b"[" * 100_000])
def test_json_that_is_not_an_object(tmp_path, data):
    (tmp_path / "x.json").write_bytes(data)
    with pytest.raises(HubError):
        files.read_json(tmp_path / "x.json")


def test_pickles_are_told_by_their_first_bytes(tmp_path):
    for data, pickled in (
        (b"PK\x03\x04", True),
        (b"\x80\x02x", True),
        (b"\x10\0\0\0", False),
        (b"", False),
    ):
        (tmp_path / "x").write_bytes(data)
        assert files.is_pickle(tmp_path / "x") == pickled


def test_a_copy_is_whole_or_not_there(tmp_path):
    (tmp_path / "a").write_bytes(b"data")
    files.copy_file(tmp_path / "a", tmp_path / "sub" / "b")
    assert (tmp_path / "sub" / "b").read_bytes() == b"data"
    with pytest.raises(DiskError):
        files.copy_file(tmp_path / "none", tmp_path / "c")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a", "sub"]


def test_a_lock_says_when_it_waits(tmp_path):
    import threading
    import time

    said, order = [], []

    def other():
        with files.hold(tmp_path / "x" / "lock", note=said.append):
            order.append("other")

    with files.hold(tmp_path / "x" / "lock", note=said.append):
        thread = threading.Thread(target=other)
        thread.start()
        while not said:
            time.sleep(0.01)
        order.append("first")
    thread.join()
    assert order == ["first", "other"]
    assert said == ["waiting for another process that fetches lock"]
    (tmp_path / "file").touch()
    with pytest.raises(DiskError), files.hold(tmp_path / "file" / "lock"):
        pass


def test_a_damaged_file_that_cannot_be_removed_says_where_it_lies(tmp_path, monkeypatch):
    path = tmp_path / "w.safetensors"
    files.discard(path)
    path.write_bytes(b"x")

    def refused(path, **where):
        raise OSError(errno.EROFS, "Read-only file system", path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refused)
        with pytest.raises(
            DiskError, match="is damaged and lies in a cache that cannot be"
        ) as told:
            files.discard(path)
    assert "HF_HOME and ZOO_CACHE" in told.value.hint
    files.discard(path)
    assert not path.exists()


def test_a_file_that_cannot_be_read_is_said(tmp_path):
    with pytest.raises(HubError, match="cannot read"):
        files.git_blob_sha1(tmp_path)
