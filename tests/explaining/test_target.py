"""What is asked and where it goes, checked before anything is computed."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from zoo.errors import DataError, DiskError, UnknownNameError, UsageError
from zoo.explaining.target import check_file, check_folder, check_image, find_class, write_new

ROOT = os.name == "nt" or os.geteuid() == 0


def test_a_class_by_its_name():
    assert find_class("dog", ("cat", "dog")) == 1
    assert find_class("3", (), 10) == 3


def test_a_class_that_the_model_does_not_know():
    with pytest.raises(UnknownNameError, match="no class 'dgo'") as caught:
        find_class("dgo", ("cat", "dog"))
    assert caught.value.hint == "did you mean dog?"
    with pytest.raises(UnknownNameError) as caught:
        find_class("zzz", tuple("abcdefghijkl"))
    assert caught.value.hint == "it has a, b, c, d, e, f, g, h, i, j ..."
    with pytest.raises(UnknownNameError) as caught:
        find_class("dog", (), 10)
    assert caught.value.hint.endswith("the number of an output, 0 to 9")


def test_a_folder_may_be_there_or_be_made(tmp_path, monkeypatch):
    check_folder(tmp_path)
    check_folder(tmp_path / "a" / "b")
    monkeypatch.chdir(tmp_path)
    check_folder(tmp_path.__class__("explained"))
    assert not list(tmp_path.iterdir())


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "x").write_text("mine")
    for path in (tmp_path / "x", tmp_path / "x" / "y"):
        with pytest.raises(UsageError, match="x is no folder"):
            check_folder(path)


@pytest.mark.skipif(ROOT, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(DiskError, match="permission denied"):
        check_folder(tmp_path / "new")
    with pytest.raises(DiskError, match="permission denied"):
        check_file(tmp_path / "a.csv")
    with pytest.raises(DiskError, match="cannot write"):
        write_new(tmp_path, "a", ".png", b"")
    tmp_path.chmod(0o700)


def test_embeddings_go_to_a_new_file_of_a_known_kind(tmp_path):
    check_file(tmp_path / "a.safetensors")
    check_file(tmp_path / "a.CSV")
    with pytest.raises(UsageError, match=r"\.safetensors or \.csv, not to 'a\.npy'") as caught:
        check_file(tmp_path / "a.npy")
    assert caught.value.hint == f"--out {tmp_path / 'a.safetensors'}"
    (tmp_path / "a.csv").write_text("mine")
    with pytest.raises(UsageError, match="it is not written over") as caught:
        check_file(tmp_path / "a.csv")
    assert caught.value.hint == f"--out {tmp_path / 'a-2.csv'}"
    (tmp_path / "a-2.csv").write_text("mine, too")
    with pytest.raises(UsageError) as caught:
        check_file(tmp_path / "a.csv")
    assert caught.value.hint == f"--out {tmp_path / 'a-3.csv'}"
    (tmp_path / "b.csv").symlink_to(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="it is not written over"):
        check_file(tmp_path / "b.csv")
    with pytest.raises(UsageError, match="no folder") as caught:
        check_file(tmp_path / "no" / "a.csv")
    assert caught.value.hint == f"mkdir -p {tmp_path / 'no'}"


@pytest.mark.parametrize("name", ["", ".", "..", "sub", "/"])
def test_embeddings_are_no_folder(tmp_path, monkeypatch, name):
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path)
    path = Path(name)
    with pytest.raises(UsageError, match="is a folder") as caught:
        check_file(path)
    assert caught.value.hint == f"--out {path / 'embeddings.safetensors'}"


def test_one_image_is_one_file(tmp_path):
    with pytest.raises(DataError, match="nothing at"):
        check_image(tmp_path / "a.png")
    with pytest.raises(DataError, match="is a folder, not one image"):
        check_image(tmp_path)


def test_nothing_is_written_over(tmp_path):
    folder = tmp_path / "new" / "folder"
    names = [write_new(folder, "cat", ".png", data).name for data in (b"1", b"2", b"3")]
    assert names == ["cat.png", "cat-2.png", "cat-3.png"]
    assert [(folder / name).read_bytes() for name in names] == [b"1", b"2", b"3"]
    (folder / "dog.png").symlink_to(tmp_path / "precious")
    assert write_new(folder, "dog", ".png", b"4").name == "dog-2.png"
    assert not (tmp_path / "precious").exists()


def test_what_the_system_refuses_is_said(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="cannot write") as caught:
        write_new(tmp_path / "file", "a", ".png", b"")
    assert caught.value.hint == "free some space, or choose another place with --out FOLDER"
    with pytest.raises(DiskError, match=r"(?i)name too long"):
        write_new(tmp_path, "a" * 300, ".png", b"")


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX limits")
def test_a_picture_that_does_not_fit_is_none(tmp_path):
    code = f"""
import resource, signal
from pathlib import Path
from zoo.errors import DiskError
from zoo.explaining.target import write_new
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    write_new(Path({str(tmp_path)!r}), "a", ".png", bytes(5000))
except DiskError as error:
    print(error.message)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    reason = "the file is larger than the file system or the limit allows"
    assert done.stdout.strip() == f"cannot write {tmp_path / 'a.png'}: {reason}"
    assert not list(tmp_path.iterdir())
