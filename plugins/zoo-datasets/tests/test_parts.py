"""Each data set opens, names its splits, and is the same wherever it lies."""

from __future__ import annotations

import shutil

import datasets
import pytest
from colours import NAMES, png, table

from zoo.errors import DataError, UsageError
from zoo_datasets import parts


def test_files_by_pattern(place):
    root = str(place / "root")
    options = {"files": "shards/*.parquet"}
    assert parts.parquet.splits(root, **options) == ("train", "val", "test")
    images = parts.parquet(root, "val", **options)
    assert (len(images), images.classes) == (6, NAMES)
    assert images.keys[0] == "validation-00.png"
    assert images.notes == ("files by split, by their names: train 1, val 1, test 1",)
    with pytest.raises(DataError, match="has no split 'dev'") as raised:
        parts.parquet(root, "dev", **options)
    assert raised.value.hint == "it has train, val, test"


def test_shards_by_split(place):
    root = str(place / "root")
    options = {"train": "tars/t{rain,est}-*.tar", "val": "tars/val*"}
    assert parts.webdataset.splits(root, **options) == ("train", "val")
    images = parts.webdataset(root, "train", **options)
    assert (len(images), images.classes) == (24, ("0", "1", "2"))
    assert images.keys[:2] == ["test/0000", "test/0001"]
    assert parts.webdataset(root, "val", names="b,g,r", **options).classes == ("b", "g", "r")


def test_saved_ones(place):
    root = str(place / "root")
    assert parts.saved.splits(root, folder="saved") == ("train", "validation", "test")
    assert len(parts.saved(root, "validation", folder="saved")) == 6
    for folder, words in (("", "needs a folder"), ("nope", "no folder"), ("shards", "not written")):
        with pytest.raises((DataError, UsageError), match=words):
            parts.saved.splits(root, folder=folder)


def test_fingerprints_are_of_the_content(place, written):
    """The same wherever the data and the caches lie; another if an image, a split or a column is."""
    elsewhere = place / "elsewhere"
    shutil.copytree(written, elsewhere)

    def marks(base, root, split="train"):
        return (
            parts.parquet(root, split, files=f"{base}/shards").fingerprint,
            parts.webdataset(root, split, files=f"{base}/tars").fingerprint,
            parts.saved(root, split, folder=f"{base}/saved").fingerprint,
        )

    first = marks(place, str(place / "one"))
    assert marks(elsewhere, str(place / "two")) == first
    assert not set(marks(place, str(place / "one"), "test")) & set(first)
    other = table("train", 18, labels=[0] * 18)
    other.to_parquet(elsewhere / "shards" / "train-00000-of-00001.parquet")
    datasets.DatasetDict({"train": other}).save_to_disk(elsewhere / "saved")
    changed = marks(elsewhere, str(place / "two"))
    assert changed[0] != first[0]
    assert changed[1] == first[1]
    assert changed[2] != first[2]


def test_a_hubs(filled, place):
    root, options = str(place / "root"), {"repo": "anna/colours"}
    first, *others = parts.hub.splits(root, True, **options)
    assert (first, set(others)) == ("train", {"validation", "test"})
    images = parts.hub(root, "train", **options)
    assert (len(images), images.classes) == (18, NAMES)
    commit = filled.store.repos["anna/colours"].head.oid
    assert images.fingerprint == f"anna/colours@{commit}::train:image:label"
    assert images.notes == (f"anna/colours at main, commit {commit[:12]}",)
    again = parts.hub(str(place / "other"), "train", download=True, **options)
    assert (again.fingerprint, again.keys) == (images.fingerprint, images.keys)


def test_a_hubs_folders_of_images(hub, place):
    files = {f"train/{n}/{k}.png": png(k) for n in NAMES for k in range(2)}
    hub.store.commit("anna/colours", files)
    root = str(place / "root")
    images = parts.hub(root, "train", download=True, repo="anna/colours")
    assert images.classes == NAMES
    assert images.keys[0] == "train/blue/0.png"
    assert images.encoded(0) == png(0)


def test_one_of_a_hubs_configurations(hub, place, written):
    """Only its files are fetched; the library is not to miss those of the others."""
    shard = next((written / "shards").glob("train*")).read_bytes()
    card = "---\nconfigs:\n- {config_name: large, data_files: large/*}\n"
    card += "- config_name: small\n  data_files:\n  - {split: train, path: small/a*}\n---\n"
    files = {"README.md": card.encode(), "large/0.parquet": shard, "small/a.parquet": shard}
    hub.store.commit("anna/colours", files)
    images = parts.hub(
        str(place / "root"), "train", download=True, repo="anna/colours", config="small"
    )
    assert len(images) == 18
    assert not hub.asked("large/")


def test_a_hubs_converted_copy(hub, place, written):
    """What stands in for a data set that is made by a program."""
    shards = {path.name.partition("-")[0]: path for path in (written / "shards").iterdir()}
    files = {f"default/{split}/0000.parquet": p.read_bytes() for split, p in shards.items()}
    hub.store.commit("anna/colours", {"colours.py": b"import os"})
    hub.store.commit("anna/colours", {**files, "colours.py": None}, ref="refs/convert/parquet")
    options = {"repo": "anna/colours", "revision": "refs/convert/parquet"}
    root = str(place / "root")
    assert set(parts.hub.splits(root, True, **options)) == {"train", "validation", "test"}
    assert len(parts.hub(root, "validation", **options)) == 6


def test_what_was_fetched_can_be_carried_to_another_machine(hub, place, monkeypatch):
    """Files that rows only name are found there, too, and the data is known as the same."""
    files = {f"train/{name}/{k}.png": png(k) for name in NAMES for k in range(2)}
    hub.store.commit("anna/colours", files)
    one, other = place / "one", place / "other"
    first = parts.hub(str(one), "train", download=True, repo="anna/colours")
    shutil.copytree(one, other, symlinks=True)
    shutil.rmtree(one)
    hub.stop()
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    again = parts.hub(str(other), "train", download=True, repo="anna/colours")
    assert again.encoded(1) == png(1)
    assert (again.fingerprint, again.keys) == (first.fingerprint, first.keys)
