from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.data.groups import deal_folds, hold_out_groups, units_of
from zoo.errors import DataError

IMAGES = st.lists(st.tuples(st.integers(0, 3), st.integers(0, 9)), min_size=1, max_size=60)
"""Label and group of each image."""


def sample(images):
    labels = [label for label, _ in images]
    groups = [f"g{group}" if group else "" for _, group in images]  # group 0: none
    return labels, groups, [f"{n:03}.jpg" for n in range(len(images))]


def whole(groups, places):
    """Whether no group is in two places."""
    return all(
        len({p for p, g in zip(places, groups, strict=True) if g == group}) <= 1
        for group in set(groups) - {""}
    )


@given(IMAGES, st.data())
def test_units_are_groups_joined_by_what_they_share(images, data):
    _, groups, _ = sample(images)
    content = [data.draw(st.integers(0, 50)) for _ in groups]
    units = units_of(groups, content)
    assert sorted(i for unit in units for i in unit) == list(range(len(groups)))
    place = {i: n for n, unit in enumerate(units) for i in unit}
    for i, group in enumerate(groups):
        for j in range(i):
            if (group and group == groups[j]) or content[i] == content[j]:
                assert place[i] == place[j]
    assert units == _joined(groups, content)


def _joined(groups, content):
    """The same by brute force: sets are joined as long as two of them touch."""
    units = [{i} for i in range(len(groups))]
    marks = [{("g", groups[i])} - {("g", "")} | {("c", content[i])} for i in range(len(groups))]
    touching = True
    while touching:
        touching = False
        for a in range(len(units)):
            for b in range(a + 1, len(units)):
                if marks[a] & marks[b]:
                    units[a] |= units.pop(b)
                    marks[a] |= marks.pop(b)
                    touching = True
                    break
            if touching:
                break
    return sorted(sorted(unit) for unit in units)


@given(IMAGES, st.integers(2, 6), st.randoms(use_true_random=False))
def test_folds_keep_groups_whole_in_any_order_of_the_files(images, folds, random):
    labels, groups, keys = sample(images)
    units = units_of(groups)
    if len(units) < folds:
        with pytest.raises(DataError, match=f"there are {len(units)}"):
            deal_folds(labels, keys, units, folds=folds)
        return
    found = deal_folds(labels, keys, units, folds=folds)
    assert whole(groups, found)
    assert set(found) == set(range(folds))  # none is empty
    turned = random.sample(range(len(keys)), len(keys))
    again = deal_folds(
        [labels[i] for i in turned],
        [keys[i] for i in turned],
        units_of([groups[i] for i in turned]),
        folds=folds,
    )
    assert dict(zip(turned, again, strict=True)) == dict(enumerate(found))


@given(st.lists(st.integers(1, 12), min_size=2, max_size=25), st.integers(2, 6))
def test_folds_of_one_class_differ_by_one_group_at_most(sizes, folds):
    images = [(0, group) for group, size in enumerate(sizes, 1) for _ in range(size)]
    labels, groups, keys = sample(images)
    if len(sizes) < folds:
        return
    counts = Counter(deal_folds(labels, keys, units_of(groups), folds=folds))
    assert max(counts.values()) - min(counts[f] for f in range(folds)) <= max(sizes)


def test_folds_are_balanced_over_classes():
    """Twenty patients of two classes, some rare: each fold gets its share of both."""
    images = [(int(p % 4 == 0), p) for p in range(1, 21) for _ in range(3 + p % 5)]
    labels, groups, keys = sample(images)
    found = deal_folds(labels, keys, units_of(groups), folds=5)
    total = Counter(labels)
    for fold in range(5):
        inside = Counter(label for label, place in zip(labels, found, strict=True) if place == fold)
        assert abs(inside[0] - total[0] / 5) <= 4
        assert abs(inside[1] - total[1] / 5) <= 4


@given(IMAGES, st.floats(0.01, 0.95), st.integers(0, 5), st.randoms(use_true_random=False))
def test_holding_out_keeps_groups_whole_and_classes_trained(images, fraction, seed, random):
    labels, groups, keys = sample(images)
    units = units_of(groups)
    alone = [_lone(labels, units, unit) for unit in units]
    if all(alone):
        with pytest.raises(DataError, match="of two groups"):
            hold_out_groups(labels, keys, units, fraction=fraction, seed=seed)
        return
    held = hold_out_groups(labels, keys, units, fraction=fraction, seed=seed)
    out = set(held)
    assert held == sorted(out)
    assert held
    assert whole(groups, [i in out for i in range(len(keys))])
    assert {labels[i] for i in range(len(keys)) if i not in out} == set(labels)
    turned = random.sample(range(len(keys)), len(keys))
    again = hold_out_groups(
        [labels[i] for i in turned],
        [keys[i] for i in turned],
        units_of([groups[i] for i in turned]),
        fraction=fraction,
        seed=seed,
    )
    assert {turned[i] for i in again} == out


def _lone(labels, units, unit):
    """Whether a class has images in this unit only."""
    others = {labels[i] for other in units if other is not unit for i in other}
    return bool({labels[i] for i in unit} - others)


def test_a_share_of_each_class_is_held_out_as_far_as_groups_allow():
    images = [(p % 2, p) for p in range(1, 41) for _ in range(5)]
    labels, groups, keys = sample(images)
    held = hold_out_groups(labels, keys, units_of(groups), fraction=0.2, seed=0)
    assert Counter(labels[i] for i in held) == {0: 20, 1: 20}
    other = hold_out_groups(labels, keys, units_of(groups), fraction=0.2, seed=1)
    assert other != held


def test_the_choice_stays_what_it_is():
    images = [(0, 1), (0, 2), (1, 2), (1, 3), (0, 3), (1, 4), (0, 0), (1, 0)]
    labels, groups, keys = sample(images)
    assert deal_folds(labels, keys, units_of(groups), folds=3) == [0, 0, 0, 1, 1, 1, 2, 2]
    assert hold_out_groups(labels, keys, units_of(groups), fraction=0.25, seed=0) == [1, 2]
