import subprocess
import sys

import pytest
import torch
from pictures import folder, jpeg, put

from zoo.core.recipe import DataPart
from zoo.data.sources import open_data, open_for_evaluation, open_images
from zoo.errors import DataError


@pytest.fixture
def opened(known):
    def call(source=None, classes=None, channels=3, seed=0, **options):
        data = DataPart(source=None if source is None else str(source), **options)
        return open_data(data, registry=known, classes=classes, channels=channels, seed=seed)

    return call


@pytest.fixture
def elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_without_data_the_demo_set_is_generated_and_it_is_said(opened, elsewhere):
    splits = opened(classes=300)
    assert (len(splits.classes), len(splits.train), len(splits.val)) == (300, 1200, 300)
    assert "generated demo images of 300 classes (--data FOLDER" in splits.notes[0]
    assert "no ./data here" in splits.notes[0]
    assert len(opened().classes) == 10
    assert splits.train.load(0).shape == (3, 96, 96)


def test_without_data_the_folder_data_is_taken_if_it_looks_like_images(opened, elsewhere):
    (elsewhere / "data" / "MNIST").mkdir(parents=True)
    assert "./data holds no class folders" in opened().notes[0]
    (elsewhere / "data" / "MNIST").rmdir()
    folder(elsewhere / "data")
    splits = opened()
    assert splits.notes[0] == "no --data: using ./data"
    assert splits.classes == ("cat", "dog")


def test_names_and_folders(opened, elsewhere):
    assert opened("digits").name == "digits"
    assert opened("optical-digits").name == "digits"
    folder(elsewhere / "digits", ["x", "y"])
    splits = opened("digits", channels=1)
    assert len(splits.classes) == 10
    assert "./digits means the folder" in splits.notes[-1]
    assert opened("./digits").classes == ("x", "y")
    folder(elsewhere / "photos" / "mine")
    assert opened("photos/mine").classes == ("cat", "dog")
    with pytest.raises(DataError, match="no folder 'photos/yours'"):
        opened("photos/yours")


def test_a_folder_is_split_by_class_seed_and_fraction(opened, tmp_path):
    root = folder(tmp_path / "set", ["a", "b", "c"], each=10)
    splits = opened(root, val_fraction=0.3, seed=1)
    assert (len(splits.train), len(splits.val)) == (21, 9)
    assert splits.val.counts() == {"a": 3, "b": 3, "c": 3}
    assert not set(splits.train.keys) & set(splits.val.keys)
    assert any("held out 9 of 30 images for validation, seed 1" in note for note in splits.notes)
    again = opened(root, val_fraction=0.3, seed=1)
    assert list(again.val.keys) == list(splits.val.keys)
    assert again.fingerprint == splits.fingerprint
    assert list(opened(root, val_fraction=0.3, seed=2).val.keys) != list(splits.val.keys)


def test_splits_of_the_folder_are_used_as_they_are(opened, tmp_path):
    for number, part in enumerate(("train", "valid", "test")):
        folder(tmp_path / "set" / part, each=3, start=10 * number)
    splits = opened(tmp_path / "set")
    assert (len(splits.train), len(splits.val), len(splits.test)) == (6, 6, 6)
    assert splits.test.name == "set/test"
    assert splits.warnings == ()


def test_a_table_is_a_source(opened, tmp_path):
    folder(tmp_path / "set", each=5)
    rows = [f"set/{name}/{n}.jpg,{name}" for name in ("cat", "dog") for n in range(5)]
    put(tmp_path / "set.csv", "\n".join(["path,label", *rows]).encode())
    splits = opened(tmp_path / "set.csv")
    assert (len(splits.train), len(splits.val), splits.classes) == (8, 2, ("cat", "dog"))
    put(tmp_path / "set.csv", "\n".join(["path,label", *rows, "gone.jpg,cat"]).encode())
    with pytest.raises(DataError, match=r"gone\.jpg"):
        opened(tmp_path / "set.csv")


def test_labels_match_the_files(opened, tmp_path):
    splits = opened(folder(tmp_path / "set", ["a", "b"], each=6))
    for images in (splits.train, splits.val):
        for label, key in zip(images.labels, images.keys, strict=True):
            assert images.classes[label] == key.partition("/")[0]


def test_the_same_bytes_in_two_classes_are_warned_about_and_kept_on_one_side(opened, tmp_path):
    root = folder(tmp_path / "set", each=5)
    put(root / "cat" / "again.jpg", jpeg(0))
    put(root / "dog" / "clash.jpg", jpeg(1))
    splits = opened(root)
    assert any("more than one class" in warning for warning in splits.warnings)
    for keys in (splits.train.keys, splits.val.keys):
        assert ("cat/0.jpg" in keys) == ("cat/again.jpg" in keys)


def test_all_images_of_an_evaluation_are_labelled_in_the_models_order(known, tmp_path):
    root = folder(tmp_path / "set", ["cat", "dog"], each=3)
    data = DataPart(source=str(root))
    found = open_for_evaluation(data, registry=known, classes=("yak", "dog", "cat"))
    assert len(found.images) == 6
    assert sorted(set(found.images.labels)) == [1, 2]
    assert found.images.classes == ("yak", "dog", "cat")
    with pytest.raises(DataError, match="does not know: cat"):
        open_for_evaluation(data, registry=known, classes=("dog",))


def test_an_evaluation_takes_one_split(known, tmp_path):
    for number, part in enumerate(("train", "val")):
        folder(tmp_path / part, each=number + 2, start=10 * number)
    data = DataPart(source=str(tmp_path))
    pick = {"registry": known, "classes": ("cat", "dog")}
    assert len(open_for_evaluation(data, **pick).images) == 6
    assert len(open_for_evaluation(data, split="train", **pick).images) == 4
    with pytest.raises(DataError, match="no split 'test'"):
        open_for_evaluation(data, split="test", **pick)
    digits = tuple("0123456789")
    named = open_for_evaluation(DataPart(source="digits"), registry=known, classes=digits)
    assert len(named.images) == 397
    demo = DataPart(source="demo")
    names = open_data(demo, registry=known, classes=12).classes
    assert len(open_for_evaluation(demo, registry=known, classes=names).images) == 12
    with pytest.raises(DataError, match="which images"):
        open_for_evaluation(DataPart(), registry=known, classes=digits)
    with pytest.raises(DataError, match="digits has no split 'tset'") as raised:
        open_for_evaluation(DataPart(source="digits"), registry=known, classes=digits, split="tset")
    assert raised.value.hint == "it has train, test"


def test_images_to_predict(tmp_path):
    root = folder(tmp_path / "set", each=2)
    one = put(tmp_path / "one.jpg", jpeg(9))
    found = open_images([one, root], channels=1).images
    assert list(found.keys) == [
        str(one),
        *(f"{root}/{c}/{n}.jpg" for c in ("cat", "dog") for n in (0, 1)),
    ]
    assert set(found.labels) == {-1}
    assert found.load(0).shape == (1, 24, 32)
    with pytest.raises(DataError, match="nothing at"):
        open_images([tmp_path / "gone.jpg"])
    (tmp_path / "empty").mkdir()
    with pytest.raises(DataError, match="no images in"):
        open_images([tmp_path / "empty"])
    bad = put(tmp_path / "bad.jpg", b"")
    with pytest.raises(DataError, match="1 of 2 files"):
        open_images([one, bad])
    skipped = open_images([one, bad], on_bad_image="skip")
    assert len(skipped.images) == 1
    assert "left out 1 of 2" in skipped.notes[0]


def test_planning_imports_no_torch(tmp_path):
    root = folder(tmp_path / "set")
    code = f"""
import sys
from zoo.core import registry
from zoo.core.recipe import DataPart
from zoo.data.sources import open_data
for source in (None, "digits", {str(root)!r}):
    open_data(DataPart(source=source), registry=registry.load()).to_dict()
print([name for name in ("torch", "torchvision", "numpy", "PIL") if name in sys.modules])
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path
    )
    assert run.stdout.strip() == "[]"


def test_left_out_images_stay_left_out(opened, tmp_path):
    root = folder(tmp_path / "set")
    put(root / "cat" / "bad.jpg", b"")
    with pytest.raises(DataError):
        opened(root)
    splits = opened(root, on_bad_image="skip")
    assert splits.train.on_bad == "skip"
    assert torch.is_tensor(splits.train.load(0))
    assert "left out 1 of 9 files: 'cat/bad.jpg'" in splits.notes


def test_folds_are_a_partition_and_do_not_depend_on_the_seed(opened, tmp_path):
    root = folder(tmp_path / "set", ["a", "b"], each=7)
    parts = [opened(root, fold=f"{n}/3", seed=n) for n in (1, 2, 3)]
    held = [key for part in parts for key in part.val.keys]
    assert sorted(held) == sorted([*parts[0].train.keys, *parts[0].val.keys])
    assert len(set(held)) == 14
    assert {part.fingerprint for part in parts} == {opened(root).fingerprint}
    assert [len(part.val) for part in parts] == [5, 4, 5]
    assert "held out 5 of 14 images for validation: fold 1 of 3" in parts[0].notes


def test_a_fold_keeps_what_tests_apart(opened, tmp_path):
    folder(tmp_path / "set" / "train", each=6)
    folder(tmp_path / "set" / "test", each=2, start=50)
    splits = opened(tmp_path / "set", fold="1/3")
    assert (len(splits.train), len(splits.val), len(splits.test)) == (8, 4, 4)


@pytest.mark.parametrize("how", [{"fold": "2/3"}, {}])
def test_groups_of_a_table_are_not_torn(opened, tmp_path, how):
    folder(tmp_path / "set", each=8)
    rows = [f"set/{c}/{n}.jpg,{c},{c}{n // 2}" for c in ("cat", "dog") for n in range(8)]
    put(tmp_path / "set.csv", "\n".join(["path,label,group", *rows]).encode())
    splits = opened(tmp_path / "set.csv", **how)
    groups = [{row.rpartition(",")[2] for row in rows if row.split(",")[0] in images.keys}
              for images in (splits.train, splits.val)]  # fmt: skip
    assert not groups[0] & groups[1]
    assert groups[0] | groups[1] == {f"{c}{n}" for c in ("cat", "dog") for n in range(4)}
    assert any("groups are kept together (column group)" in note for note in splits.notes)
    put(
        tmp_path / "plain.csv",
        "\n".join(["path,label", *(r.rpartition(",")[0] for r in rows)]).encode(),
    )
    assert opened(tmp_path / "plain.csv", **how).fingerprint != splits.fingerprint
