import errno
import os
import stat
import sys

import pytest

from zoo.engine.saving import atomic
from zoo.engine.saving.atomic import current_umask, disk_error, replacing, sweep, write_bytes
from zoo.errors import DiskError


def test_writes_a_new_file_and_replaces_an_old_one(tmp_path):
    path = tmp_path / "a.bin"
    write_bytes(path, b"one")
    assert path.read_bytes() == b"one"
    write_bytes(path, b"two", staging=tmp_path / ".staging")
    assert path.read_bytes() == b"two"
    assert not list((tmp_path / ".staging").iterdir())


def test_mode_follows_the_umask(tmp_path):
    old = os.umask(0o027)
    try:
        write_bytes(tmp_path / "a", b"x")
        assert current_umask() == 0o027
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o640


def test_an_error_in_the_block_leaves_everything_as_it_was(tmp_path):
    path = tmp_path / "a"
    path.write_bytes(b"old")
    with pytest.raises(ZeroDivisionError), replacing(path) as file:  # noqa: PT012 - the block is what is tested
        file.write(b"half of the new")
        raise ZeroDivisionError
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_symbolic_link_is_replaced_not_followed(tmp_path):
    target = tmp_path / "elsewhere"
    target.write_bytes(b"precious")
    link = tmp_path / "link"
    link.symlink_to(target)
    write_bytes(link, b"new")
    assert target.read_bytes() == b"precious"
    assert not link.is_symlink()


def test_a_new_file_takes_nobodys_place(tmp_path):
    path = tmp_path / "a"
    write_bytes(path, b"one", new=True)
    assert path.read_bytes() == b"one"
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]
    other = tmp_path / "b"
    with pytest.raises(DiskError, match="exists") as caught, replacing(other, new=True) as file:  # noqa: PT012 - the block is what is tested
        file.write(b"late")
        other.symlink_to("mine")
    assert isinstance(caught.value.__cause__, FileExistsError)
    assert os.readlink(other) == "mine"
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a", "b"]


@pytest.mark.parametrize("there", [False, True])
def test_a_file_system_without_second_names_gets_new_files_too(tmp_path, monkeypatch, there):
    def refuse(*_):
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    path = tmp_path / "a"
    if there:
        path.write_bytes(b"mine")
        with pytest.raises(DiskError, match="exists"):
            write_bytes(path, b"one", new=True)
    else:
        write_bytes(path, b"one", new=True)
    assert path.read_bytes() == (b"mine" if there else b"one")
    assert [entry.name for entry in tmp_path.iterdir()] == ["a"]


@pytest.mark.parametrize("call", ["mkstemp", "write", "fsync", "fchmod", "replace", "folder"])
@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EIO])
def test_a_refusal_at_any_call_leaves_the_old_file(tmp_path, monkeypatch, call, number):
    path = tmp_path / "a"
    path.write_bytes(b"old")

    def refuse(*args, **kwargs):
        raise OSError(number, os.strerror(number))

    if call == "mkstemp":
        monkeypatch.setattr(atomic.tempfile, "mkstemp", refuse)
    elif call in ("fsync", "fchmod", "replace"):
        monkeypatch.setattr(atomic.os, call, refuse)
    elif call == "folder":
        monkeypatch.setattr(atomic, "sync_folder", refuse)
    with pytest.raises(DiskError) as caught, replacing(path) as file:  # noqa: PT012 - the block is what is tested
        file.write(b"new")
        if call == "write":
            refuse()
    assert caught.value.exit_code == 8
    assert caught.value.message.startswith(f"cannot write {path}: ")
    assert path.read_bytes() == (b"new" if call == "folder" else b"old")
    assert list(tmp_path.iterdir()) == [path]


def test_what_to_do_is_said(tmp_path):
    full = disk_error(OSError(errno.ENOSPC, "x"), tmp_path)
    assert "the disk is full" in full.message
    assert "free some space" in full.hint
    closed = disk_error(OSError(errno.EROFS, "x"), tmp_path)
    assert "read-only" in closed.message
    assert "may write" in closed.hint
    assert "whatever" in disk_error(OSError("whatever"), tmp_path).message


@pytest.mark.skipif(sys.platform != "linux", reason="a full device is Linux's")
def test_a_full_device_is_a_disk_error():
    with pytest.raises(DiskError, match="the disk is full"), open("/dev/full", "wb") as device:  # noqa: PT012 - the block is what is tested
        try:
            device.write(b"x" * 100_000)
            device.flush()
        except OSError as error:
            raise disk_error(error, device.name) from error


def test_sweep_empties_a_folder(tmp_path):
    for name in ("a.tmp", "b.tmp"):
        (tmp_path / name).write_bytes(b"")
    assert sweep(tmp_path) == 2
    assert sweep(tmp_path) == 0
    assert sweep(tmp_path / "missing") == 0


def test_the_names_of_new_folders_are_flushed_from_the_outside_in(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(atomic, "sync_folder", flushed.append)
    atomic.make_folder(tmp_path / "a" / "b")
    assert flushed == [tmp_path, tmp_path / "a"]
    atomic.make_folder(tmp_path / "a" / "b")
    assert len(flushed) == 2
    assert (tmp_path / "a" / "b").is_dir()
