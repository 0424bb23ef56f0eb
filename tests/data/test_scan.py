import os

import pytest
from pictures import folder, jpeg, put

from zoo.data.scan import (
    check_folder,
    file_at,
    find_layout,
    holds_class_folders,
    images_below,
    quote,
    scan,
    split_folder,
)
from zoo.errors import DataError


def test_class_folders_and_split_folders_are_told_apart(tmp_path):
    plain = folder(tmp_path / "plain")
    assert find_layout(plain).train == plain
    for train, val in (("train", "val"), ("Train", "Validation"), ("training", "valid")):
        root = tmp_path / train / "x"
        folder(root / train)
        folder(root / val, start=20)
        found = find_layout(root)
        assert (found.train, found.val, found.test) == (root / train, root / val, None)
        assert split_folder(root, "val") == root / val


def test_train_alone_holds_splits_and_train_among_others_is_a_class(tmp_path):
    folder(tmp_path / "a" / "train")
    assert find_layout(tmp_path / "a").train == tmp_path / "a" / "train"
    folder(tmp_path / "b", ["bus", "car", "train"])
    assert find_layout(tmp_path / "b").train == tmp_path / "b"
    folder(tmp_path / "c", ["test", "train", "val"])
    assert find_layout(tmp_path / "c").train == tmp_path / "c"


def test_a_stray_image_beside_the_classes_of_a_split_makes_no_class_of_it(tmp_path):
    for part in ("train", "val"):
        folder(tmp_path / part)
    put(tmp_path / "train" / "montage.jpg", jpeg())
    found = find_layout(tmp_path)
    assert (found.train, found.val) == (tmp_path / "train", tmp_path / "val")
    assert scan(found.train).ignored["images outside of the class folders"] == 1


def test_a_test_split_is_found_and_strangers_are_named(tmp_path):
    for part in ("train", "val", "test", "extra"):
        folder(tmp_path / part)
    found = find_layout(tmp_path)
    assert found.test == tmp_path / "test"
    assert found.notes == ("passed over beside train: extra",)


def test_scan_lists_below_class_folders_in_text_order(tmp_path):
    root = folder(tmp_path / "set", ["b", "a"], each=2)
    put(root / "a" / "deeper" / "z.PNG", jpeg())
    put(root / "a" / "notes.txt", b"x")
    put(root / "labels.csv", b"x")
    put(root / "loose.jpg", jpeg())
    tree = scan(root)
    assert list(tree.classes) == ["a", "b"]
    assert [f.key for f in tree.files()] == [
        "a/0.jpg", "a/1.jpg", "a/deeper/z.PNG", "b/0.jpg", "b/1.jpg"
    ]  # fmt: skip
    assert tree.ignored["files that are no images"] == 2
    assert tree.ignored["images outside of the class folders"] == 1
    assert len(tree) == 5


def test_links_come_after_what_they_lead_to(tmp_path):
    root = folder(tmp_path / "set", ["zebra"], each=2)
    (root / "alias").symlink_to(root / "zebra", target_is_directory=True)
    tree = scan(root)
    assert {name: len(files) for name, files in tree.classes.items()} == {"alias": 0, "zebra": 2}


def test_links_out_of_the_folder_are_followed_once(tmp_path):
    pool = put(tmp_path / "pool" / "x.jpg", jpeg())
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        (tmp_path / "set" / name / "x.jpg").symlink_to(pool)
    tree = scan(tmp_path / "set")
    assert [f.key for f in tree.files()] == ["a/x.jpg"]
    assert tree.ignored["links to files that are listed already"] == 1


def test_links_that_lead_nowhere_are_broken_classes(tmp_path):
    root = folder(tmp_path / "set")
    (root / "bird").symlink_to(tmp_path / "gone")
    (root / "self").symlink_to("self")
    assert holds_class_folders(root)
    assert find_layout(root).train == root
    broken = scan(root).broken
    assert broken["bird"] == "broken link (nothing at its end)"
    assert "symbolic links" in broken["self"]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes here")
def test_a_pipe_among_the_classes_is_not_opened(tmp_path):
    root = folder(tmp_path / "set")
    os.mkfifo(root / "pipe")
    assert scan(root).ignored["files that are no images"] == 1


def test_files_without_suffix_are_looked_into(tmp_path):
    put(tmp_path / "set" / "a" / "photo", jpeg())
    put(tmp_path / "set" / "a" / "README", b"words")
    assert [f.key for f in scan(tmp_path / "set").files()] == ["a/photo"]


def test_undecodable_names_work(tmp_path):
    raw = os.fsencode(tmp_path) + b"/set/a"
    os.makedirs(raw)
    with open(raw + b"/\xff\xfe.jpg", "wb") as file:
        file.write(jpeg())
    (found,) = scan(tmp_path / "set").files()
    assert quote(found.key).isascii()


def test_looks_like_an_image_folder(tmp_path):
    assert not holds_class_folders(tmp_path / "none")
    (tmp_path / "raw" / "MNIST").mkdir(parents=True)
    put(tmp_path / "raw" / "MNIST" / "train-images-idx3-ubyte", b"\0\0\x08\x03")
    assert not holds_class_folders(tmp_path / "raw")
    assert holds_class_folders(folder(tmp_path / "plain"))
    folder(tmp_path / "split" / "train")
    assert holds_class_folders(tmp_path / "split")


def test_images_below_takes_all_as_one(tmp_path):
    root = folder(tmp_path / "set", each=1)
    put(root / "top.png", jpeg())
    assert [f.key for f in images_below(root).files()] == ["cat/0.jpg", "dog/0.jpg", "top.png"]


def test_what_is_no_folder(tmp_path):
    with pytest.raises(DataError, match="no folder"):
        check_folder(tmp_path / "x")
    put(tmp_path / "x.tar.gz", b"")
    with pytest.raises(DataError, match="archive"):
        check_folder(tmp_path / "x.tar.gz")
    with pytest.raises(IsADirectoryError):
        file_at(tmp_path, "x")


def test_names_in_messages_are_one_line():
    assert quote("a b") == "'a b'"
    assert "\n" not in quote("a\nb")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("train-0.parquet", "--data datasets/parquet --data-option files="),
        ("shard-0.tar", "--data datasets/webdataset --data-option files="),
        ("dataset_info.json", "--data datasets/saved --data-option folder="),
        ("notes.txt", "expected FOLDER/<class>/<image>"),
    ],
)
def test_forms_of_another_library_are_answered_with_the_line_that_reads_them(tmp_path, name, hint):
    root = tmp_path / "my set"
    root.mkdir()
    (root / name).touch()
    with pytest.raises(DataError, match="holds no class folders") as raised:
        scan(root)
    assert raised.value.hint.startswith(hint)
    if hint.endswith("="):
        assert raised.value.hint == f"{hint}'{root}'"


def test_a_single_file_of_another_form_is_told_from_an_archive(tmp_path):
    for name, hint in (
        ("a.parquet", "--data datasets/parquet --data-option files="),
        ("a.tar", "then --data FOLDER; WebDataset shards: --data datasets/webdataset"),
    ):
        (tmp_path / name).touch()
        with pytest.raises(DataError) as raised:
            check_folder(tmp_path / name)
        assert hint in raised.value.hint
