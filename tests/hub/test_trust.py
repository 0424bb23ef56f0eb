import hashlib
import os

from zoo.hub import trust


def test_a_file_is_hashed_once(here, tmp_path, monkeypatch):
    path = tmp_path / "x"
    path.write_bytes(b"data")
    digest = hashlib.sha256(b"data").hexdigest()
    assert trust.holds(path, digest)
    assert trust.holds(path, digest[:8])
    monkeypatch.setattr("zoo.hub.trust.digest_like", lambda *_: 1 / 0)
    assert trust.holds(path, digest)


def test_any_change_is_hashed_again(here, tmp_path):
    path = tmp_path / "x"
    path.write_bytes(b"data")
    digest = hashlib.sha256(b"data").hexdigest()
    assert trust.holds(path, digest)
    before = path.stat()
    path.write_bytes(b"dama")
    assert not trust.holds(path, digest)
    path.write_bytes(b"data")
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns + 1))
    assert trust.holds(path, digest)


def test_no_digest_is_never_enough(here, tmp_path):
    (tmp_path / "x").write_bytes(b"data")
    assert not trust.holds(tmp_path / "x", "")
    assert not trust.holds(tmp_path / "x", "0" * 64)


def test_a_cache_that_cannot_be_written_only_costs_time(here, tmp_path, monkeypatch):
    (tmp_path / "file").touch()
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "file"))
    (tmp_path / "x").write_bytes(b"data")
    assert trust.holds(tmp_path / "x", hashlib.sha256(b"data").hexdigest())
