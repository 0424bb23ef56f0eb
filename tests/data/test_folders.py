import pytest
from pictures import folder, jpeg, put

from zoo.core.recipe import DataPart
from zoo.data import folders
from zoo.errors import DataError, UsageError


def test_trees_of_a_folder_with_splits(tmp_path):
    for number, part in enumerate(("train", "val", "test")):
        folder(tmp_path / "set" / part, start=10 * number)
    put(tmp_path / "set" / "val" / "cat" / "x.txt", b"")
    trees, facts = folders.gather(DataPart(), tmp_path / "set")
    assert list(trees) == ["train", "val", "test"]
    assert facts == ["passed over in val: files that are no images (1)"]


def test_another_folder_can_validate(tmp_path):
    folder(tmp_path / "set" / "train")
    folder(tmp_path / "set" / "val")
    other = folder(tmp_path / "other", each=1, start=90)
    trees, _ = folders.gather(DataPart(val=str(other)), tmp_path / "set")
    assert trees["val"].root == other
    nested, _ = folders.gather(DataPart(val=str(tmp_path / "set")), other)
    assert nested["val"].root == tmp_path / "set" / "val"


def test_tables_can_train_and_validate(tmp_path):
    folder(tmp_path / "set", each=2)
    put(tmp_path / "a.csv", b"path,label\nset/cat/0.jpg,cat\nset/dog/0.jpg,dog\n")
    put(tmp_path / "b.csv", b"path,label\nset/cat/1.jpg,cat\nset/dog/1.jpg,dog\n")
    trees, _ = folders.gather(DataPart(val=str(tmp_path / "b.csv")), tmp_path / "a.csv")
    assert [f.key for f in trees["val"].files()] == ["set/cat/1.jpg", "set/dog/1.jpg"]


def test_bad_files_of_all_splits_are_listed_with_their_split(tmp_path):
    for part in ("train", "val"):
        folder(tmp_path / part)
        put(tmp_path / part / "cat" / "bad.jpg", b"")
    trees, facts = folders.gather(DataPart(), tmp_path)
    with pytest.raises(DataError) as raised:
        folders.checked(trees, DataPart(), facts, None)
    assert "2 of 18 files" in raised.value.message
    assert "'train/cat/bad.jpg'" in raised.value.message
    assert "'val/cat/bad.jpg'" in raised.value.message


def test_progress_counts_over_all_splits(tmp_path):
    folder(tmp_path / "train", each=200, make=lambda n: jpeg(0) + n.to_bytes(4, "big"))
    folder(tmp_path / "val", each=150, make=lambda n: jpeg(1) + n.to_bytes(4, "big"))
    trees, facts = folders.gather(DataPart(), tmp_path)
    seen = []
    folders.checked(trees, DataPart(), facts, seen.append)
    assert seen == [256, 400 + 256]


def test_classes_missing_from_a_split_are_allowed_only_if_said(tmp_path):
    folder(tmp_path / "train", ["a", "b"])
    folder(tmp_path / "val", ["a"], start=30)
    trees, _ = folders.gather(DataPart(), tmp_path)
    with pytest.raises(DataError, match="only in train: b"):
        folders.compare(("a", "b"), trees["val"], "val", DataPart())
    folders.compare(("a", "b"), trees["val"], "val", DataPart(allow_empty=True))


def test_sizes_and_facts_come_along(tmp_path):
    trees, facts = folders.gather(DataPart(), folder(tmp_path / "set", ["2", "10"]))
    findings = folders.checked(trees, DataPart(), facts, None)
    images = folders.image_set(trees["train"], "n", ("10", "2"), findings, 3, DataPart())
    assert set(images.sizes) == {(24, 32)}
    said = folders.facts_of({"train": images, "val": images.subset([0])}, ("10", "2"))
    assert said == [
        "classes in text order, kept in the checkpoint: 10, 2",
        "classes without validation images: 2",
    ]


def test_splits_without_class_folders_are_suspected(tmp_path):
    def warned(names):
        root = tmp_path / "-".join(names)
        for number, name in enumerate(names):
            put(root / name / "1.jpg", jpeg(number))
        trees, facts = folders.gather(DataPart(), root)
        findings = folders.checked(trees, DataPart(), facts, None)
        return folders.suspicions(trees, findings, tuple(trees["train"].classes))

    assert warned(["cat", "train"]) == []
    (said,) = warned(["Test", "train"])
    assert said.startswith("the classes are called Test, train")


def test_an_option_that_a_command_has_not_is_not_named(tmp_path):
    folder(tmp_path / "set")
    trees, facts = folders.gather(DataPart(), tmp_path / "set")
    with pytest.raises(DataError, match="more than the limit of 100") as caught:
        folders.checked(trees, DataPart(max_pixels=100), facts, None)
    assert "max_pixels" not in caught.value.message + caught.value.hint


def test_a_missing_folder_is_named_by_its_option(tmp_path):
    folder(tmp_path / "set")
    with pytest.raises(DataError) as caught:
        folders.gather(DataPart(val="nix"), tmp_path / "set")
    assert caught.value.hint == "--val FOLDER"


def test_groups_in_more_than_one_split_are_warned_about(tmp_path):
    folder(tmp_path / "set", ["cat"], each=6)
    rows = ["p2,train", "p2,val", "p10,train", "p10,test", "p3,train", ",val"]
    lines = [f"set/cat/{n}.jpg,cat,{row}" for n, row in enumerate(rows)]
    put(tmp_path / "t.csv", "\n".join(["path,label,group,split", *lines]).encode())
    trees, facts = folders.gather(DataPart(), tmp_path / "t.csv")
    findings = folders.checked(trees, DataPart(), facts, None)
    assert folders.suspicions(trees, findings, ["cat", "dog"]) == [
        "2 groups are in more than one split (column group): 'p2' (train, val), 'p10' (test, train)"
    ]


def test_a_fold_of_what_has_validation_images_is_refused_with_a_way(tmp_path):
    for part in ("train", "val"):
        folder(tmp_path / "set" / part)
    with pytest.raises(UsageError, match=r"'.*set' has its own") as caught:
        folders.gather(DataPart(fold="1/2"), tmp_path / "set")
    assert caught.value.hint.endswith(f"--data {tmp_path / 'set' / 'train'}")
    put(
        tmp_path / "t.csv",
        b"path,label,split\nset/train/cat/0.jpg,cat,train\nset/val/cat/0.jpg,cat,val",
    )
    with pytest.raises(UsageError, match="has its own") as caught:
        folders.gather(DataPart(fold="1/2"), tmp_path / "t.csv")
    assert "the column split out of the table" in caught.value.hint
