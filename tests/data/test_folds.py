from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from zoo.data.folds import fold_of

CLASSES = st.lists(st.integers(1, 25), min_size=1, max_size=6)


def sample(per_class):
    classes = [f"c{label}" for label, count in enumerate(per_class) for _ in range(count)]
    return classes, [f"{name}/{n}.jpg" for n, name in enumerate(classes)]


@given(CLASSES, st.integers(2, 9))
def test_each_class_is_spread_over_all_folds_as_evenly_as_can_be(per_class, folds):
    classes, keys = sample(per_class)
    found = fold_of(classes, keys, folds=folds)
    assert set(found) <= set(range(folds))
    for label, count in enumerate(per_class):
        sizes = Counter(found[i] for i, name in enumerate(classes) if name == f"c{label}")
        assert {sizes[fold] for fold in range(folds)} <= {count // folds, -(-count // folds)}


@given(CLASSES, st.integers(2, 9), st.randoms(use_true_random=False))
def test_the_order_of_the_files_and_other_classes_do_not_matter(per_class, folds, random):
    classes, keys = sample(per_class)
    found = dict(zip(keys, fold_of(classes, keys, folds=folds), strict=True))
    turned = random.sample(range(len(keys)), len(keys))
    names, again = [classes[i] for i in turned], [keys[i] for i in turned]
    assert dict(zip(again, fold_of(names, again, folds=folds), strict=True)) == found
    first = [key for name, key in zip(classes, keys, strict=True) if name == "c0"]
    alone = fold_of(["c0"] * len(first), first, folds=folds)
    assert [found[key] for key in first] == alone


@given(st.integers(1, 60), st.integers(2, 9), st.integers(0, 99))
def test_one_more_image_moves_at_most_one_across_each_cut(count, folds, which):
    classes, keys = sample([count])
    before = dict(zip(keys, fold_of(classes, keys, folds=folds), strict=True))
    more = [*keys, f"new-{which}.jpg"]
    after = dict(zip(more, fold_of([*classes, "c0"], more, folds=folds), strict=True))
    for cut in range(1, folds):
        assert sum((before[key] < cut) != (after[key] < cut) for key in keys) <= 1


@given(CLASSES, st.integers(2, 5), st.data())
def test_images_of_a_class_with_the_same_bytes_are_in_one_fold(per_class, folds, data):
    classes, keys = sample(per_class)
    content = [data.draw(st.integers(0, 12)) for _ in keys]
    found = fold_of(classes, keys, folds=folds, twins=content)
    for label in set(classes):
        for twin in set(content):
            both = [
                f
                for f, c, t in zip(found, classes, content, strict=True)
                if (c, t) == (label, twin)
            ]
            assert len(set(both)) <= 1


def test_small_classes_do_not_all_fall_into_one_fold():
    classes, keys = sample([1] * 200)
    sizes = Counter(fold_of(classes, keys, folds=5))
    assert all(20 <= sizes[fold] <= 60 for fold in range(5))


def test_the_folds_of_a_set_stay_what_they_are():
    """Runs of yesterday are judged on the images that they held out."""
    classes, keys = sample([7, 4])
    assert fold_of(classes, keys, folds=3) == [2, 0, 0, 1, 1, 0, 2, 1, 2, 0, 1]
