"""Columns are found by their type, else by their name, else asked for."""

from __future__ import annotations

import datasets
import pyarrow as pa
import pytest
from datasets import ClassLabel, Features, Image, List, Value

from zoo.errors import DataError
from zoo_datasets.columns import Columns, image_column, label_column, labels_of

NAMED = ClassLabel(names=["cat", "dog"])


@pytest.mark.parametrize(
    ("kinds", "wanted", "found"),
    [
        ({"photo": Image(), "label": NAMED}, "", "photo"),
        ({"jpg": Value("binary"), "mask": Value("binary")}, "", "jpg"),
        ({"image": {"bytes": Value("binary"), "path": Value("string")}}, "", "image"),
        ({"a": Image(), "b": Image()}, "b", "b"),
        ({"blob": Value("binary")}, "blob", "blob"),
    ],
)
def test_the_column_of_images(kinds, wanted, found):
    assert image_column(Features(kinds), wanted, "set") == found


@pytest.mark.parametrize(
    ("kinds", "wanted", "words"),
    [
        ({"a": Image(), "b": Image()}, "", "several columns hold images; its columns: a (image)"),
        ({"a": Value("string")}, "", "no column holds images"),
        ({"a": Value("string")}, "a", "column 'a' holds no images"),
        ({"blob": Value("binary")}, "", "no column holds images"),
    ],
)
def test_no_column_of_images(kinds, wanted, words):
    with pytest.raises(DataError) as raised:
        image_column(Features(kinds), wanted, "set")
    assert words in raised.value.message
    assert raised.value.hint.startswith("--data-option image=")


@pytest.mark.parametrize(
    ("kinds", "wanted", "found"),
    [
        ({"x": NAMED, "note": Value("string")}, "", "x"),
        ({"Label": Value("int64"), "size": Value("int64")}, "", "Label"),
        ({"cls": Value("int64"), "__key__": Value("string")}, "", "cls"),
        ({"label": NAMED, "coarse": NAMED}, "", "label"),
        ({"fine": NAMED, "coarse": NAMED}, "coarse", "coarse"),
        ({"json": {"label": Value("int64")}}, "json.label", "json.label"),
    ],
)
def test_the_column_of_labels(kinds, wanted, found):
    assert label_column(Features(kinds), wanted, "set") == found


@pytest.mark.parametrize(
    ("kinds", "wanted", "words", "hint"),
    [
        ({"fine": NAMED, "coarse": NAMED}, "", "several columns may be", "label=fine"),
        ({"json": {"label": Value("int64")}}, "", "no column is called", "label=json.label"),
        ({"a": NAMED}, "b", "no column 'b'; its columns: a (2 classes)", "label=a"),
        ({"a": NAMED, "b": Value("float32")}, "b", "column 'b' holds no labels", "label=a"),
        ({"label": List(Value("int64"))}, "", "no column is called like a label", "label=NAME"),
    ],
)
def test_no_column_of_labels(kinds, wanted, words, hint):
    with pytest.raises(DataError) as raised:
        label_column(Features(kinds), wanted, "set")
    assert words in raised.value.message
    assert raised.value.hint == f"--data-option {hint}"


@pytest.mark.parametrize(
    ("values", "kind", "labels", "classes"),
    [
        ([1, 0, 1], NAMED, [1, 0, 1], ("cat", "dog")),
        (["dog", "ant", "dog"], Value("string"), [1, 0, 1], ("ant", "dog")),
        ([10, 2, 10], Value("int64"), [1, 0, 1], ("2", "10")),
        ([True, False], Value("bool"), [1, 0], ("false", "true")),
        ([-1, -1], NAMED, [-1, -1], ("cat", "dog")),
        ([None, None], Value("string"), [-1, -1], ()),
        (["", ""], Value("string"), [-1, -1], ()),
    ],
)
def test_labels_become_numbers_with_names(values, kind, labels, classes):
    assert labels_of(pa.array(values), kind, "set") == (labels, classes)


@pytest.mark.parametrize(
    ("values", "kind"),
    [([0, -1, 1], NAMED), (["a", None], Value("string")), ([3, None], Value("int64"))],
)
def test_some_labels_and_others_not(values, kind):
    with pytest.raises(DataError, match=rf"1 of {len(values)} images have no label, .* row 1"):
        labels_of(pa.array(values), kind, "set")


def test_names_for_numbers(tmp_path):
    file = tmp_path / "classes.txt"
    file.write_text("cat\ndog\n\n")
    for said in ("cat, dog", ["cat", "dog"], str(file)):
        names = Columns.of("", "", said).names
        assert labels_of(pa.array([1, 1]), Value("int64"), "set", names) == ([1, 1], ("cat", "dog"))
    with pytest.raises(DataError, match=r"1 names of classes were given, .* numbers up to 1"):
        labels_of(pa.array([0, 1]), Value("int64"), "set", ("cat",))
    with pytest.raises(DataError, match="the labels are texts"):
        labels_of(pa.array(["a"]), Value("string"), "set", ("cat",))
    with pytest.raises(DataError, match="cannot read the names"):
        Columns.of("", "", "nope.txt")


def test_the_types_are_those_of_the_installed_library():
    made = datasets.Dataset.from_dict({"label": ["b", "a"], "n": [1, 2]})
    assert label_column(made.features, "", "set") == "label"
