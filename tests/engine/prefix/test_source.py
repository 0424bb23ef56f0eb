from __future__ import annotations

import dataclasses
import resource
from contextlib import contextmanager

import pytest
import torch

from zoo.data.images import ImageSet
from zoo.data.loaders import make_loader
from zoo.engine.feed import Feed
from zoo.engine.place import Place
from zoo.engine.prefix.runner import PrefixRunner
from zoo.engine.prefix.source import PrefixSource
from zoo.engine.prefix.store import FileStore, MemoryStore
from zoo.errors import DataError

CPU = Place(device=torch.device("cpu"))


class Reader:
    def __init__(self, bad=()):
        self.bad, self.read_rows = bad, []

    def read(self, row):
        self.read_rows.append(row)
        if row in self.bad:
            raise DataError(f"image {row} is broken")
        return torch.full((3, 2, 2), row, dtype=torch.uint8)

    def whole(self):
        return None


class Shift:
    """Adds a random amount, so that views differ."""

    def __call__(self, image):
        return image + torch.randint(0, 100, (1,)).to(torch.uint8)


def source(views, *, bad=(), count=10, stores=None):
    reader = Reader(bad)
    images = ImageSet(
        "toy", ("a",), [0] * count, [str(i) for i in range(count)], reader,
        on_bad="skip" if bad else "error",
    )  # fmt: skip
    loader = make_loader(images, Shift(), batch_size=4, seed=3)
    kept = {} if stores is None else stores

    def open_store(view, of):
        chunks = [len(rows) for rows in of.indices(view)]
        return kept.setdefault(view, MemoryStore(chunks, (3,), torch.float32))

    runner = PrefixRunner(lambda x: x.mean((2, 3)), Feed(CPU), CPU)
    nothing = {} if not views else {"stores": open_store}
    return PrefixSource(loader, runner, **nothing, views=views), reader


def table(batches):
    return [(b.indices.tolist(), b.images.tolist(), b.labels.tolist()) for b in batches]


def test_the_first_views_are_those_of_a_run_without_a_cache():
    cached, plain = source(2)[0], source(0)[0]
    for epoch in (0, 1):
        assert table(cached.epoch(epoch)) == table(plain.epoch(epoch))


def test_later_epochs_reuse_views_in_their_own_order_and_read_nothing():
    cached, reader = source(2)
    views = [
        {i: v for b in cached.epoch(e) for i, v in zip(b.indices.tolist(), b.images, strict=True)}
        for e in (0, 1)
    ]
    reader.read_rows.clear()
    for epoch in (2, 3, 4):
        batches = list(cached.epoch(epoch))
        assert [b.indices.tolist() for b in batches] == [r.tolist() for r in cached.indices(epoch)]
        for batch in batches:
            for index, value in zip(batch.indices.tolist(), batch.images, strict=True):
                assert torch.equal(value, views[epoch % 2][index])
    assert reader.read_rows == []


def test_a_run_that_begins_in_the_middle_computes_what_is_missing_when_it_needs_it():
    whole, cached = source(1)[0], source(1)[0]
    list(whole.epoch(0))
    assert table(cached.epoch(0, 2)) == table(source(0)[0].epoch(0, 2))
    assert cached._stores[0].done == [False, False, True]
    assert table(cached.epoch(1)) == table(whole.epoch(1))
    assert cached._stores[0].done == [True] * 3


def test_an_epoch_that_was_left_goes_on_with_what_was_kept():
    cached, reader = source(1)
    batches = cached.epoch(0)
    next(batches)
    batches.close()
    reader.read_rows.clear()
    assert table(cached.epoch(0)) == table(source(0)[0].epoch(0))
    assert len(reader.read_rows) == 6


def test_broken_images_are_left_out_as_without_a_cache():
    order = source(0)[0].indices(0)
    for bad in ([int(order[1][0])], order[1].tolist(), order[-1].tolist()):
        cached, plain = source(1, bad=bad)[0], source(0, bad=bad)[0]
        assert table(cached.epoch(0)) == table(plain.epoch(0))
        seen = [i for b in cached.epoch(1) for i in b.indices.tolist()]
        assert sorted(seen) == sorted(set(range(10)) - set(bad))


def test_what_is_left_out_is_said_whoever_found_it(tmp_path):
    def open_source(bad, on_bad):
        store = FileStore(tmp_path / "x", {}, [4, 4, 2], (3,), torch.float32)
        found, reader = source(1, bad=bad, stores={0: store})
        images = dataclasses.replace(found.images, on_bad=on_bad)
        found.loader = make_loader(images, Shift(), batch_size=4, seed=3)
        return found, reader

    first, _ = open_source([7], "skip")
    list(first.epoch(0))
    list(first.epoch(1))
    assert first.notes == ("toy: 1 image left out, undecodable: '7'",)
    first.close()
    again, _ = open_source([7], "skip")
    list(again.epoch(0))
    assert again.notes == first.notes
    again.close()
    strict, _ = open_source([7], "error")
    with pytest.raises(DataError, match="image 7 is broken"):
        list(strict.epoch(0))
    strict.close()
    mended, reader = open_source([], "error")
    seen = [i for b in mended.epoch(0) for i in b.indices.tolist()]
    assert sorted(seen) == list(range(10))
    assert 7 in reader.read_rows
    assert not mended.notes
    mended.close()
    whole, reader = open_source([], "error")
    list(whole.epoch(0))
    assert len(reader.read_rows) == 4  # it is whole now
    whole.close()


@pytest.mark.parametrize("by", [3, 0.99])
def test_kept_numbers_that_do_not_fit_are_dropped(by):
    stores = {}
    list(source(1, stores=stores)[0].epoch(0))
    stores[0].data.mul_(by)
    again = source(1, stores=stores)[0]
    assert table(again.epoch(0)) == table(source(0)[0].epoch(0))
    assert "do not fit" in again.notes[0]


def test_kept_numbers_that_were_rounded_otherwise_fit():
    stores = {}
    list(source(1, stores=stores)[0].epoch(0))
    stores[0].data.mul_(1 + 1e-5)
    again, reader = source(1, stores=stores)
    list(again.epoch(0))
    assert not again.notes
    assert len(reader.read_rows) == 4


@contextmanager
def full_disk():
    """Files cannot grow, nor be written beyond four bytes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("full", [0, 1])
def test_a_disk_that_becomes_full_costs_no_run_and_changes_no_number(tmp_path, full):
    """In the epoch that fills the store, or when a resumed run completes it."""
    kept, cached = source(1)[0], source(1)[0]
    store = FileStore(tmp_path / "x", {}, [4, 4, 2], (3,), torch.float32)
    cached = source(1, stores={0: store})[0]
    wanted = [table(kept.epoch(epoch)) for epoch in range(3)]
    if not full:
        batches = cached.epoch(0)
        found = [next(batches)]
        with full_disk():
            assert table([*found, *batches]) == wanted[0]
    with full_disk():
        assert table(cached.epoch(1)) == wanted[1]
    assert table(cached.epoch(2)) == wanted[2]
    (note,) = cached.notes
    assert "not kept any more" in note
    cached.close()
    again = FileStore(tmp_path / "x", {}, [4, 4, 2], (3,), torch.float32)
    assert again.done == [not full, False, False]
    again.close()
