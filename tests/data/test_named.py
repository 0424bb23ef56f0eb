import numpy as np
import pytest
from pictures import picture, pixels

from zoo.core.recipe import DataPart
from zoo.core.specs import DatasetSpec
from zoo.data.named import UnlabelledError, open_named
from zoo.errors import DataError, PluginError, UsageError


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

    def ask(self, kind, name, question, **options):
        assert question == "splits"
        self.calls.append(options)
        return self.said


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


def asked(said, build=None):
    """A data set that is asked for its splits."""
    shelf = Shelf(build or (lambda split: Items([0, 1] * 6)), splits=())
    shelf.said = said
    return shelf


@pytest.mark.parametrize(
    ("said", "val", "test"),
    [
        (["train", "validation", "test"], "validation", "test"),
        (["train", "dev"], "dev", None),
        (["train", "test"], "test", None),
        (["all"], "val", None),
    ],
)
def test_splits_may_depend_on_the_data(said, val, test, tmp_path):
    shelf = asked(said)
    opened = open_odd(shelf, root=str(tmp_path), options={"x": 1})
    assert opened.train.name == f"odd/{said[0]}"
    assert opened.val.name == f"odd/{val}"
    assert (opened.test.name if opened.test else None) == (f"odd/{test}" if test else None)
    assert shelf.calls[0] == {"root": str(tmp_path), "download": False, "x": 1}


def test_splits_that_cannot_be_used():
    for said in ([], [1]):
        with pytest.raises(PluginError, match="not the names of splits"):
            open_odd(asked(said))
    with pytest.raises(DataError, match="nothing to train on: it has test") as raised:
        open_odd(asked(["test"]))
    assert "--split test" in raised.value.hint
    with pytest.raises(DataError, match="no split 'dev'") as raised:
        open_odd(asked(["train"]), val="dev")
    assert raised.value.hint == "it has train"
    with pytest.raises(UsageError, match="odd has a split val") as raised:
        open_odd(asked(["train", "val"]), fold="1/2")
    assert "the training images alone" in raised.value.hint


def test_labels_that_are_kept_back():
    """A test split without labels is left alone unless it is asked for; others are an error."""

    def build(hidden):
        return lambda split: Items([-1] * 3 if split == hidden else [0, 1] * 6, classes=["a", "b"])

    opened = open_odd(Shelf(build("test"), splits=("train", "val", "test")))
    assert opened.test is None
    assert "test is left alone: none of its images has a label" in opened.notes
    held = open_odd(Shelf(build("test"), splits=("train", "test")))
    assert len(held.val) + len(held.train) == 12
    for splits, wanted in ((("train", "test"), "test"), (("train", "val"), None)):
        shelf = Shelf(build(splits[1]), splits=splits)
        with pytest.raises(UnlabelledError, match="none of its 3 images has a label"):
            open_odd(shelf, val=wanted)


def test_classes_are_matched_by_name():
    def build(split):
        names = ["a", "b"] if split == "train" else ["b", "a"]
        return Items([0, 1, 1], classes=names)

    opened = open_odd(Shelf(build, splits=("train", "val")))
    assert opened.val.classes == ("a", "b")
    assert opened.val.labels == [1, 0, 0]


def test_classes_that_a_split_lacks():
    def build(split):
        return Items([0, 1, 0], classes=["a", "b", "c"][: 3 if split == "train" else 2])

    shelf = Shelf(build, splits=("train", "val"))
    with pytest.raises(DataError, match="only in train: c"):
        open_odd(shelf)
    opened = open_odd(shelf, allow_empty=True)
    assert opened.val.classes == ("a", "b", "c")
    assert "classes without validation images: c" in opened.notes


def test_what_a_set_says_of_itself_is_noted():
    opened = open_odd(Shelf(lambda split: Items([0, 1], notes=(f"{split}, as of May",))))
    assert opened.notes[0] == "train, as of May"


def test_the_fingerprint_is_of_what_paths_lead_to():
    def mark(**options):
        shelf = Shelf(lambda _: Items([0, 1], fingerprint="v1"), paths=("files",))
        return open_odd(shelf, options=options).fingerprint

    assert mark(files="/here") == mark(files="there") == mark()
    assert mark(year=1) != mark(year=2)
