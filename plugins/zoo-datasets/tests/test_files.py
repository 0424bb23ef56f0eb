"""Patterns, splits by name, and a digest that knows content and nothing of places."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from zoo.errors import DataError, UsageError
from zoo_datasets.files import described, digest_of, expand, find, gather, split_of


def touch(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def test_braces_are_a_shells():
    assert expand("{train,val}-*.tar") == ["train-*.tar", "val-*.tar"]
    assert expand("{a,b}/{1,2}") == ["a/1", "a/2", "b/1", "b/2"]
    assert expand("plain") == ["plain"]


@pytest.mark.parametrize(
    ("path", "split"),
    [
        ("train-00000-of-00002.parquet", "train"),
        ("data/validation-00000.parquet", "val"),
        ("dev.parquet", "val"),
        ("default/test/0000.parquet", "test"),
        ("train/part-1.parquet", "train"),
        ("train/val-1.parquet", "val"),
        ("trainable.parquet", ""),
        ("0001.tar", ""),
    ],
)
def test_the_split_that_a_name_says(path, split):
    assert split_of(Path(path).parts) == split


def test_a_pattern_a_folder_and_a_file(tmp_path, monkeypatch):
    touch(tmp_path, "a/train-1.tar", "a/b/val-1.tar", "a/note.txt")
    monkeypatch.chdir(tmp_path)
    names = [path.name for path in find("a", ".tar", "/nope")]
    assert names == ["val-1.tar", "train-1.tar"]  # by their paths
    assert [p.name for p in find("a/*", ".tar", "/nope")] == names
    assert [p.name for p in find("a/**/*.tar", ".tar", "/nope")] == names
    assert find("a/train-1.tar", ".tar", "/nope") == [tmp_path / "a" / "train-1.tar"]
    assert [p.name for p in find(f"{tmp_path}/a/train*", ".tar", "/nope")] == ["train-1.tar"]
    monkeypatch.chdir("/")
    assert [p.name for p in find("a/train*", ".tar", str(tmp_path))] == ["train-1.tar"]
    with pytest.raises(DataError, match=r"no \.tar file matches 'x\*'") as raised:
        find("x*", ".tar", str(tmp_path))
    assert str(tmp_path) in raised.value.message


def test_files_are_dealt_by_their_names_or_as_given(tmp_path, monkeypatch):
    touch(tmp_path, "s/train-1.tar", "s/train-2.tar", "s/valid-1.tar", "t/one.tar", "t/two.tar")
    monkeypatch.chdir(tmp_path)
    found = gather("webdataset", ".tar", "/nope", {"files": "s"})
    assert {k: [p.name for p in v] for k, v in found.items()} == {
        "train": ["train-1.tar", "train-2.tar"],
        "val": ["valid-1.tar"],
    }
    assert described(found, by_name=True) == "files by split, by their names: train 2, val 1"
    silent = gather("webdataset", ".tar", "/nope", {"files": "t"})
    assert described(silent, by_name=True) == "no file's name says a split, so all train: train 2"
    given = gather("webdataset", ".tar", "/nope", {"train": "t", "val": "s/valid*", "files": ""})
    assert described(given, by_name=False) == "files by split, as given: train 2, val 1"


def test_what_cannot_be_dealt(tmp_path, monkeypatch):
    touch(tmp_path, "train-1.tar", "extra.tar")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DataError, match=r"1 of 2 files name no split: extra\.tar") as raised:
        gather("webdataset", ".tar", "/nope", {"files": "*.tar"})
    assert "train=PATTERN" in raised.value.hint
    with pytest.raises(UsageError, match="needs files"):
        gather("webdataset", ".tar", "/nope", {"files": "", "train": ""})
    with pytest.raises(UsageError, match="files and val were given"):
        gather("webdataset", ".tar", "/nope", {"files": "a", "val": "b"})


def test_the_digest_is_of_the_content(tmp_path):
    one = touch(tmp_path / "one", "train-1.tar", "val-1.tar")
    two = Path(shutil.copytree(one, tmp_path / "elsewhere" / "two"))

    def digest(root, memory="memory.json"):
        found = {"train": [root / "train-1.tar"], "val": [root / "val-1.tar"]}
        return digest_of(found, tmp_path / memory)

    first = digest(one)
    assert digest(one) == digest(two) == digest(two, "other.json") == first
    stat = (two / "val-1.tar").stat()
    (two / "val-1.tar").write_bytes(b"other bytes")
    os.utime(two / "val-1.tar", ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as large and as old
    assert digest(two) != first
    (two / "val-1.tar").rename(two / "val-2.tar")
    found = {"train": [one / "train-1.tar"], "val": [one / "val-1.tar"], "test": []}
    assert digest_of({**found, "val": [], "test": found["val"]}, tmp_path / "m.json") != first
    (tmp_path / "memory.json").write_text("{broken")
    assert digest(one) == first
