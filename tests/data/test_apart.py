import pytest

from zoo.core.recipe import DataPart
from zoo.data.apart import refuse_fold, set_apart
from zoo.data.split import hold_out
from zoo.errors import DataError, UsageError

CLASSES = ("cat", "dog")


def split(labels, *, groups=(), twins=None, seed=0, **data):
    keys = [f"{CLASSES[label]}/{n}.jpg" for n, label in enumerate(labels)]
    return set_apart(DataPart(**data), CLASSES, labels, keys, seed=seed, twins=twins, groups=groups)


def test_without_a_fold_and_groups_it_is_the_split_of_always():
    labels = [0] * 9 + [1] * 5
    keys = [f"{CLASSES[label]}/{n}.jpg" for n, label in enumerate(labels)]
    found = split(labels, seed=3, val_fraction=0.3, groups=[""] * 14)
    assert (found.kept, found.held) == hold_out(labels, keys, fraction=0.3, seed=3)
    assert (found.fold, found.notes) == ("", ())


def test_every_image_is_held_out_by_one_fold_whatever_the_seed():
    labels = [0] * 9 + [1] * 5
    parts = [split(labels, fold=f"{n}/4", seed=n) for n in range(1, 5)]
    assert sorted(i for part in parts for i in part.held) == list(range(14))
    for part in parts:
        assert sorted(part.kept + part.held) == list(range(14))
    assert parts[1].fold == "fold 2 of 4"
    assert split(labels, fold="2/4", seed=9) == parts[1]


@pytest.mark.parametrize("data", [{"fold": "1/3"}, {"val_fraction": 0.3}])
def test_what_is_done_about_groups_is_said(data):
    labels = [0, 1] * 8
    groups = [f"p{n // 3}" if n < 12 else "" for n in range(16)]
    found = split(labels, groups=groups, **data)
    assert not {groups[i] for i in found.kept} & {groups[i] for i in found.held} - {""}
    out = len({groups[i] for i in found.held} - {""})
    assert found.notes == (
        f"groups are kept together (column group): {out} of 4 are held out",
        "images without a group, each for itself: 4",
    )


def test_groups_that_share_an_image_are_one():
    labels = [0] * 8
    groups = [f"p{n // 2}" for n in range(8)]
    found = split(labels, groups=groups, twins=[0, 1, 2, 3, 4, 0, 6, 7], fold="1/3")
    assert found.notes[-1] == "groups that share images, byte for byte, count as one: p0 + p2"
    places = {groups[i] for i in found.held}
    assert ("p0" in places) == ("p2" in places)


def test_a_class_that_is_held_out_whole_is_said():
    found = [split([0, 0, 0, 0, 1], fold=f"{n}/2") for n in (1, 2)]
    said = [note for part in found for note in part.notes]
    assert said == ["classes without training images: dog"]


def test_too_few_images_or_groups_for_the_folds():
    with pytest.raises(DataError, match="fold 1 of 5 would hold out 0 of 2 images") as caught:
        split([0, 1], fold="1/5")
    assert "fewer folds" in caught.value.hint
    with pytest.raises(DataError, match="5 folds need as many groups: there are 2"):
        split([0, 1] * 4, groups=["a", "b"] * 4, fold="1/5")
    with pytest.raises(DataError, match="images of two groups"):
        split([0, 1] * 4, groups=["a", "b"] * 4)


def test_data_with_validation_images_has_no_folds():
    refuse_fold(DataPart(), "photos has its own", "")
    with pytest.raises(UsageError, match=r"--fold 1/2 holds out .*, and photos has its own"):
        refuse_fold(DataPart(fold="1/2"), "photos has its own", "leave --fold out")
