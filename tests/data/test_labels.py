import pytest

from zoo.data.images import FileReader, ImageSet
from zoo.data.labels import align, case_twins, check_range, compare, expect, listed
from zoo.errors import DataError


def images(classes, labels):
    keys = [str(i) for i in range(len(labels))]
    return ImageSet("set", classes, labels, keys, FileReader(tuple(keys)))


def test_lists_are_cut():
    assert listed("abc") == "a, b, c"
    assert listed(map(str, range(15))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9 and 5 more"


def test_splits_are_compared_by_name():
    compare(["a", "b"], ["b", "a"], "val")
    with pytest.raises(DataError, match="only in train: a; only in val: c"):
        compare(["a", "b"], ["b", "c"], "val")


def test_numbers_of_classes_are_compared():
    expect(["a", "b"], 2, "x")
    expect(["a", "b"], None, "x")
    with pytest.raises(DataError, match="--classes 3, but x has 2"):
        expect(["a", "b"], 3, "x")


def test_case_twins():
    assert case_twins(["Cat", "cat", "dog", "dog "]) == [
        "classes 'Cat' and 'cat' differ in case or spaces only",
        "classes 'dog' and 'dog ' differ in case or spaces only",
    ]


def test_ranges():
    check_range([0, 1, 2], 3, "x")
    with pytest.raises(DataError, match=r"outside of 0..2: 3 \(2 times\), -1 \(1 times\)"):
        check_range([0, 3, 3, -1], 3, "x")


def test_labels_are_aligned_by_name_to_the_order_of_a_model():
    ours = images(("cat", "dog", "emu"), [0, 1, 1, 0])
    assert align(ours, ("cat", "dog", "emu")) is ours
    turned = align(ours, ("dog", "yak", "cat"))
    assert turned.labels == [2, 0, 0, 2]
    assert turned.classes == ("dog", "yak", "cat")
    assert align(images((), [-1, -1]), ("a",)).labels == [-1, -1]


def test_classes_unknown_to_the_model_are_named():
    with pytest.raises(DataError, match="does not know: emu") as caught:
        align(images(("cat", "emu"), [0, 1]), ("cat", "dog"))
    assert caught.value.hint == "it knows cat, dog"
    with pytest.raises(DataError) as caught:
        align(images(("emu",), [0]), [f"c{number:02d}" for number in range(40)])
    with pytest.raises(DataError) as nameless:
        align(images(("emu",), [0]), ())
    assert nameless.value.hint == "its file does not say what its classes are called"
    assert "c29 and 10 more; zoo predict MODEL IMAGE --top 40 names them all" in caught.value.hint


def test_a_flag_that_was_given_is_not_offered():
    for allowed in (False, True):
        with pytest.raises(DataError) as caught:
            compare(["a"], ["a", "b"], "val", empty_allowed=allowed)
        assert ("--allow-empty" in caught.value.hint) is not allowed


def test_folders_of_imagenet_synsets_have_its_order():
    names = [f"n{number:08d}" for number in range(1000)]
    turned = images(names[::-1], [0, 999])
    found = align(turned, [f"kind {n}" for n in range(1000)])
    assert list(found.labels) == [999, 0]
    with pytest.raises(DataError, match="does not know"):
        align(images(names[:2], [0, 1]), [f"kind {n}" for n in range(1000)])
