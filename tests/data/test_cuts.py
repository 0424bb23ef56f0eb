import pytest
from hypothesis import given
from hypothesis import strategies as st

from zoo.data.cuts import cuts, joined
from zoo.errors import DataError


@given(
    count=st.integers(1, 300),
    batch=st.integers(1, 40),
    world=st.integers(1, 5),
    train=st.booleans(),
)
def test_cuts_cover_every_image_once_in_order(count, batch, world, train):
    if train and count < world:
        with pytest.raises(DataError, match="some would have none"):
            cuts(count, batch, world=world, train=train)
        return
    found = cuts(count, batch, world=world, train=train)
    assert [i for start, stop in found for i in range(start, stop)] == list(range(count))
    if train:
        assert all(stop - start >= world for start, stop in found)
        assert len(found) == 1 or batch == 1 or all(b - a >= 2 * world for a, b in found)


def test_a_small_tail_joins_the_batch_before():
    assert cuts(9, 4) == [(0, 4), (4, 9)]
    assert cuts(10, 4) == [(0, 4), (4, 8), (8, 10)]
    assert cuts(11, 4, world=2) == [(0, 11)]
    assert cuts(9, 4, train=False) == [(0, 4), (4, 8), (8, 9)]
    assert (joined(9, 4), joined(10, 4), joined(11, 4, 2), joined(3, 4)) == (1, 0, 3, 0)


def test_dropped_tails():
    assert cuts(9, 4, drop_last=True) == [(0, 4), (4, 8)]
    with pytest.raises(DataError, match="do not fill one batch of 8") as raised:
        cuts(7, 4, world=2, drop_last=True)
    assert "--batch-size 3" in raised.value.hint


@pytest.mark.parametrize("world", [1, 2, 4])
def test_global_batches_do_not_depend_on_the_number_of_processes(world):
    for count in (96, 109):
        assert cuts(count, 16 // world, world=world) == cuts(count, 16)
