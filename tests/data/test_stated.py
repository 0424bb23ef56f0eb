import numpy as np
import pytest
from pictures import picture

from zoo.core.specs import DatasetSpec
from zoo.data.stated import Numbered, classes_of, labels_of
from zoo.errors import DataError


class Items:
    def __init__(self, truth, **attributes):
        self._labels = truth
        self.__dict__.update(attributes)

    def __len__(self):
        return len(self._labels)

    def __getitem__(self, index):
        return picture(index), self._labels[index]


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


def test_classes_have_names_or_numbers():
    spec = DatasetSpec(name="odd", target="x:y", classes=3)
    assert classes_of(Items([0], classes=["a", ("b", "c")]), spec, [0]) == ("a", "b, c")
    assert classes_of(Items([0]), spec, [0]) == ("0", "1", "2")
    assert classes_of(Items([0]), DatasetSpec(name="odd", target="x:y"), [0, 1]) == ("0", "1")
