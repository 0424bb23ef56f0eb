"""zoo.report.target: a report over an earlier one, never over anything else; a picture over nothing."""

import os
import threading

import pytest

from zoo.errors import DiskError, UsageError
from zoo.report.target import (
    HEAD,
    check_picture,
    check_target,
    is_report,
    write_page,
    write_picture,
)


def test_a_report_is_replaced(tmp_path):
    path = tmp_path / "r.html"
    write_page(path, HEAD + "one")
    assert is_report(path)
    write_page(path, HEAD + "two")
    assert path.read_text() == HEAD + "two"
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


@pytest.mark.parametrize("content", ["", "<!doctype html>\n<p>mine</p>", "zoo report", HEAD[:-2]])
def test_anything_else_is_not(tmp_path, content):
    path = tmp_path / "mine.html"
    path.write_text(content)
    with pytest.raises(UsageError, match="no report of zoo's") as caught:
        check_target(path)
    assert caught.value.hint == f"--report {tmp_path / 'mine-report.html'}"
    with pytest.raises(UsageError):
        write_page(path, HEAD)
    assert path.read_text() == content


def test_links_and_pipes_are_not(tmp_path):
    (tmp_path / "there.txt").write_text("x")
    for name, target in (("a.html", "there.txt"), ("b.html", "gone")):
        (tmp_path / name).symlink_to(tmp_path / target)
        with pytest.raises(UsageError):
            check_target(tmp_path / name)
    os.mkfifo(tmp_path / "c.html")
    with pytest.raises(UsageError):
        check_target(tmp_path / "c.html")


def test_what_is_no_place_for_a_page(tmp_path):
    with pytest.raises(UsageError, match="is a folder") as caught:
        check_target(tmp_path)
    assert caught.value.hint == f"--report {tmp_path / 'report.html'}"
    with pytest.raises(UsageError, match="is an HTML page") as caught:
        check_target(tmp_path / "model.safetensors")
    assert caught.value.hint == f"--report {tmp_path / 'model.html'}"
    with pytest.raises(UsageError, match="no folder") as caught:
        check_target(tmp_path / "gone" / "r.html")
    assert caught.value.hint == f"mkdir -p {tmp_path / 'gone'}"
    check_target(tmp_path / "r.HTM")


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_folder_that_may_not_be_written(tmp_path):
    tmp_path.chmod(0o555)
    with pytest.raises(DiskError, match="permission denied"):
        check_target(tmp_path / "r.html")


def test_a_disk_that_refuses_leaves_the_earlier_report(tmp_path, monkeypatch):
    path = tmp_path / "r.html"
    write_page(path, HEAD + "one")

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match="the disk is full") as caught:
        write_page(path, HEAD + "two")
    assert "--report" in caught.value.hint
    monkeypatch.undo()
    assert path.read_text() == HEAD + "one"
    assert [p.name for p in tmp_path.iterdir()] == ["r.html"]


def test_a_picture_is_written_over_nothing(tmp_path):
    path = tmp_path / "a.png"
    write_picture(path, b"one")
    (tmp_path / "a-2.png").symlink_to("gone")
    with pytest.raises(UsageError, match="is there; it is not written over") as caught:
        write_picture(path, b"two")
    assert caught.value.hint == f"--preview {tmp_path / 'a-3.png'}"
    with pytest.raises(UsageError, match="is there"):
        check_picture(tmp_path / "a-2.png")
    assert path.read_bytes() == b"one"


def test_of_two_pictures_at_once_one_is_refused(tmp_path):
    path, together, refused = tmp_path / "a.png", threading.Barrier(2), []

    def run(sign):
        together.wait()
        try:
            write_picture(path, sign * 50_000_000)
        except UsageError as error:
            refused.append(error.message)

    threads = [threading.Thread(target=run, args=(sign,)) for sign in (b"a", b"b")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert refused == [f"{path} is there; it is not written over"]
    assert [entry.name for entry in tmp_path.iterdir()] == ["a.png"]


def test_what_is_no_place_for_a_picture(tmp_path):
    with pytest.raises(UsageError, match="is a folder") as caught:
        check_picture(tmp_path)
    assert caught.value.hint == f"--preview {tmp_path / 'preview.png'}"
    for name in ("a.gif", "a.jpg", "a"):
        with pytest.raises(UsageError, match=f"is a PNG picture, not '{name}'") as caught:
            check_picture(tmp_path / name)
        assert caught.value.hint == f"--preview {tmp_path / 'a.png'}"
    with pytest.raises(UsageError, match="no folder") as caught:
        check_picture(tmp_path / "gone" / "a.png")
    assert caught.value.hint == f"mkdir -p {tmp_path / 'gone'}"
    check_picture(tmp_path / "a.PNG")


def test_a_disk_that_refuses_leaves_no_picture(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(DiskError, match="the disk is full") as caught:
        write_picture(tmp_path / "a.png", b"x")
    assert "--preview" in caught.value.hint
    assert list(tmp_path.iterdir()) == []
