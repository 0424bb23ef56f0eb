"""zoo.engine.saving.newfile: a new file that a user names."""

import os
from pathlib import Path

import pytest

from zoo.engine.saving import atomic
from zoo.engine.saving.newfile import Kind, check_access, check_folder, check_new, written
from zoo.errors import DiskError, UsageError

KIND = Kind(name="sheet", flag="--sheet", suffixes=(".png", ".jpg"), refusal="a sheet is PNG, not")


def refused(path):
    with pytest.raises(UsageError) as caught:
        check_new(path, KIND)
    return caught.value.message, caught.value.hint


def test_a_new_file_of_a_known_kind(tmp_path):
    for name in ("a.png", "a.PNG", "a.jpg"):
        check_new(tmp_path / name, KIND)
    assert list(tmp_path.iterdir()) == []


def test_another_kind_is_refused_with_the_usual_suffix(tmp_path):
    said = ("a sheet is PNG, not 'a.gif'", f"--sheet {tmp_path / 'a.png'}")
    assert refused(tmp_path / "a.gif") == said


def test_nothing_is_replaced_and_a_free_name_is_offered(tmp_path):
    for name in ("a.png", "a-2.png"):
        (tmp_path / name).write_text("mine")
    (tmp_path / "a-3.png").symlink_to("nowhere")
    message, hint = refused(tmp_path / "a.png")
    assert message == f"{tmp_path / 'a.png'} is there; it is not written over"
    assert hint == f"--sheet {tmp_path / 'a-4.png'}"
    assert refused(tmp_path / "a-3.png")[0].endswith("it is not written over")


@pytest.mark.parametrize("name", ["", ".", "..", "/"])
def test_a_folder_is_no_file(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    assert refused(path) == (f"{path} is a folder", f"--sheet {path / 'sheet.png'}")


def test_a_name_that_no_file_can_have_is_said_before_anything_is_done(tmp_path):
    with pytest.raises(UsageError, match="is longer than the name of a file may be"):
        check_new(tmp_path / f"{'x' * 300}.png", KIND)


def test_the_folder_has_to_be_there(tmp_path):
    message, hint = refused(tmp_path / "no" / "a.png")
    assert message == f"there is no folder {tmp_path / 'no'} for the sheet"
    assert hint == f"mkdir -p {tmp_path / 'no'}"
    check_folder(tmp_path, "sheet", "--sheet")


def test_a_folder_that_may_not_be_written(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda *_: False)
    with pytest.raises(DiskError, match="permission denied") as caught:
        check_access(tmp_path, "--sheet")
    assert caught.value.hint == "--sheet PATH"
    with pytest.raises(DiskError):
        check_new(tmp_path / "a.png", KIND)


def test_who_comes_second_is_told_as_who_comes_late(tmp_path):
    path = tmp_path / "a.png"
    path.write_text("theirs")
    with pytest.raises(UsageError) as caught, written(path, KIND):
        atomic.write_bytes(path, b"mine", new=True)
    assert (caught.value.message, caught.value.hint) == refused(path)
    assert path.read_text() == "theirs"


def test_a_disk_that_refuses_leaves_a_way_on(tmp_path):
    error = DiskError("cannot write: the disk is full")
    with pytest.raises(DiskError) as caught, written(tmp_path / "a.png", KIND):
        raise error
    assert caught.value.hint == "free some space, or choose another place with --sheet FILE"
