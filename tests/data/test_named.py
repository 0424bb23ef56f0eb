import numpy as np
import pytest
from pictures import picture, pixels

from zoo.core.recipe import DataPart
from zoo.core.specs import DatasetSpec
from zoo.data.named import Numbered, labels_of, open_named
from zoo.errors import DataError, UsageError


class Shelf:
    """What ``open_named`` asks of a registry: one data set, built by a function."""

    def __init__(self, build, **spec):
        self._build = build
        self.spec = DatasetSpec(name="odd", target="x:y", **spec)
        self.calls = []

    def find(self, kind, name):
        return self.spec

    def build(self, kind, name, **options):
        self.calls.append(options)
        return self._build(options["split"])


class Items:
    def __init__(self, truth, **attributes):
        self._labels = truth
        self.__dict__.update(attributes)

    def __len__(self):
        return len(self._labels)

    def __getitem__(self, index):
        return picture(index), self._labels[index]


def open_odd(shelf, classes=None, channels=3, **data):
    return open_named(
        DataPart(**data), "odd", registry=shelf, classes=classes, channels=channels, seed=0
    )


@pytest.mark.parametrize(
    ("splits", "train", "val", "test"),
    [
        (("train", "test"), "train", "test", None),
        (("train", "val", "test"), "train", "val", "test"),
        (("trainval", "valid"), "trainval", "valid", None),
    ],
)
def test_roles_of_splits(splits, train, val, test):
    shelf = Shelf(lambda split: Items([0, 1] * len(split)), splits=splits)
    opened = open_odd(shelf)
    assert (opened.train.name, opened.val.name) == (f"odd/{train}", f"odd/{val}")
    assert (opened.test.name if opened.test else None) == (f"odd/{test}" if test else None)
    assert len(opened.train) == 2 * len(train)
    assert any("test split" in note for note in opened.notes) is (val == "test")


def test_a_split_can_be_chosen_to_validate():
    shelf = Shelf(lambda split: Items([0, 1]), splits=("train", "val", "test"))
    assert open_odd(shelf, val="test").val.name == "odd/test"
    with pytest.raises(DataError, match="no split 'dev'"):
        open_odd(shelf, val="dev")


def test_without_a_second_split_a_share_is_held_out():
    shelf = Shelf(lambda _: Items([0] * 10 + [1] * 10), splits=("train",))
    opened = open_odd(shelf, val_fraction=0.3)
    assert (len(opened.train), len(opened.val)) == (14, 6)
    assert opened.train.load(0).shape == (3, 24, 32)


def test_the_target_is_called_as_the_contract_says(tmp_path):
    shelf = Shelf(
        lambda _: Items([0, 1, 2]), splits=("train", "test"), options={"classes": 10, "x": 1}
    )
    open_odd(shelf, classes=3, root=str(tmp_path), download=True, options={"x": 2})
    first = {"split": "train", "root": str(tmp_path), "transform": None, "download": True}
    assert shelf.calls[0] == {**first, "classes": 3, "x": 2}


@pytest.mark.parametrize(("key", "flag"), [("split", "--val"), ("root", "--data-root")])
def test_what_zoo_gives_itself_is_no_option(key, flag):
    with pytest.raises(UsageError, match=f"{key} is not an option of its own; {flag} says it"):
        open_odd(Shelf(lambda _: Items([0, 1])), options={key: "x"})


def test_classes_are_the_sets_the_specs_or_the_labels():
    assert open_odd(Shelf(lambda _: Items([0, 1], classes=["cat", ("a", "b")]))).classes == (
        "cat",
        "a, b",
    )
    assert open_odd(Shelf(lambda _: Items([0, 1]), classes=3)).classes == ("0", "1", "2")
    assert open_odd(Shelf(lambda _: Items([0, 1]))).classes == ("0", "1")
    with pytest.raises(DataError, match="--classes 5, but odd has 2"):
        open_odd(Shelf(lambda _: Items([0, 1])), classes=5)


def test_labels_come_from_a_list_or_from_the_items():
    assert labels_of(Items([1, 2]), "x") == [1, 2]
    assert labels_of(Items([1, 2], targets=np.array([3, 4])), "x") == [3, 4]
    assert labels_of(Items([1, 2], labels=[5, 6], targets=[0, 0]), "x") == [5, 6]
    for items, words in (
        (Items([1, 2], targets=[1]), "1 labels for 2 images"),
        (Items([1, 2], targets=["a", "b"]), "whole numbers"),
        (Items([]), "no images"),
    ):
        with pytest.raises(DataError, match=words):
            labels_of(items, "x")


def test_missing_files_hint_at_the_download():
    def fail(split):
        raise RuntimeError("Dataset not found.\nUse download=True")

    with pytest.raises(DataError, match=r"odd: Dataset not found\.") as raised:
        open_odd(Shelf(fail, download="auto"))
    assert raised.value.hint == "add --download"
    with pytest.raises(DataError) as raised:
        open_odd(Shelf(fail, download="manual"), root="/somewhere")
    assert "/somewhere" in raised.value.hint


def test_the_fingerprint_knows_statements_pixels_and_samples():
    def mark(**attributes):
        return open_odd(Shelf(lambda _: Items([0, 1], **attributes))).fingerprint

    plain = np.stack([pixels(0), pixels(1)])
    marks = {
        mark(),
        mark(fingerprint="v1"),
        mark(fingerprint="v2"),
        mark(images=255 - plain),
    }
    assert len(marks) == 4
    assert mark(images=plain) == mark(images=plain.copy())


def test_it_is_said_whether_the_fingerprint_is_of_all_images():
    def sampled(count, **attributes):
        items = Items([0, 1] * (count // 2), **attributes)
        return open_odd(Shelf(lambda _: items, splits=("train", "val"))).sampled

    assert sampled(40)
    assert not sampled(16)
    assert not sampled(40, fingerprint="v1")
    assert not sampled(40, images=np.stack([pixels(n) for n in range(40)]))


def test_numbered_names():
    names = Numbered("x/train", 5)
    assert (names[0], names[-1], names[1:3], len(names)) == (
        "x/train/0",
        "x/train/4",
        ["x/train/1", "x/train/2"],
        5,
    )
    with pytest.raises(IndexError):
        names[5]


def test_what_a_set_prints_does_not_reach_stdout(capsys):
    def noisy(split):
        print("Files already downloaded and verified")
        return Items([0, 1])

    open_odd(Shelf(noisy))
    out, err = capsys.readouterr()
    assert out == ""
    assert "verified" in err


def test_a_fold_is_of_the_training_images_and_leaves_test_alone():
    shelf = Shelf(lambda split: Items([0, 1] * 6), splits=("train", "test"))
    parts = [open_odd(shelf, fold=f"{n}/3") for n in (1, 2, 3)]
    held = [key for part in parts for key in part.val.keys]
    assert sorted(held) == sorted(f"odd/train/{n}" for n in range(12))
    assert all(len(part.test) == 12 for part in parts)
    assert "4 images of train held out for validation: fold 2 of 3" in parts[1].notes
    with pytest.raises(UsageError, match="odd has a split val"):
        open_odd(Shelf(lambda split: Items([0, 1]), splits=("train", "val")), fold="1/3")
