import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.data.split import hold_out
from zoo.errors import DataError


def sample(per_class):
    labels = [label for label, count in enumerate(per_class) for _ in range(count)]
    return labels, [f"{label}/{n}.jpg" for n, label in enumerate(labels)]


@given(
    st.lists(st.integers(1, 30), min_size=1, max_size=6), st.floats(0.01, 0.9), st.integers(0, 9)
)
def test_every_class_with_two_images_is_on_both_sides(per_class, fraction, seed):
    labels, keys = sample(per_class)
    if max(per_class) < 2:
        with pytest.raises(DataError, match="nothing can be held out"):
            hold_out(labels, keys, fraction=fraction, seed=seed)
        return
    kept, held = hold_out(labels, keys, fraction=fraction, seed=seed)
    assert sorted(kept + held) == list(range(len(labels)))
    for label, count in enumerate(per_class):
        out = sum(labels[i] == label for i in held)
        assert out == (0 if count < 2 else min(count - 1, max(1, round(count * fraction))))


def test_the_split_depends_on_the_seed_and_not_on_the_order():
    labels, keys = sample([20, 20])
    _, held = hold_out(labels, keys, fraction=0.2, seed=1)
    names = {keys[i] for i in held}
    turned = list(range(len(labels)))[::-1]
    _, again = hold_out(
        [labels[i] for i in turned], [keys[i] for i in turned], fraction=0.2, seed=1
    )
    assert {keys[turned[i]] for i in again} == names
    _, other = hold_out(labels, keys, fraction=0.2, seed=2)
    assert {keys[i] for i in other} != names


def test_one_more_image_moves_at_most_one_across():
    labels, keys = sample([40])
    _, before = hold_out(labels, keys, fraction=0.2, seed=0)
    _, after = hold_out([*labels, 0], [*keys, "0/new.jpg"], fraction=0.2, seed=0)
    all_keys = [*keys, "0/new.jpg"]
    assert len({keys[i] for i in before} ^ {all_keys[i] for i in after}) <= 2


def test_images_with_the_same_bytes_stay_together():
    labels, keys = sample([12])
    content = [0, 0, 0, 1, 1, 2, 3, 4, 5, 6, 7, 8]
    for seed in range(20):
        kept, held = hold_out(labels, keys, fraction=0.3, seed=seed, twins=content)
        assert not {content[i] for i in kept} & {content[i] for i in held}
    with pytest.raises(DataError, match="two different images"):
        hold_out([0, 0], ["a", "b"], fraction=0.5, seed=0, twins=["same", "same"])
