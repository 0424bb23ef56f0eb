import time

import pytest
import torch
from torch.nn import functional

from zoo.builtin.transforms import CenterCrop, RandomCrop, Standard
from zoo.core.specs import InputSpec
from zoo.data.images import ImageSet
from zoo.data.loaders import Loader
from zoo.data.resident import GRID, Resident, need_of
from zoo.data.views import View
from zoo.errors import DataError

CPU = torch.device("cpu")
SMALL = InputSpec(size=(3, 24, 20))


class Reader:
    """Smooth pictures of many sizes; counts how often each is read."""

    def __init__(self, count=21, largest=300, bad=()):
        draw = torch.Generator().manual_seed(0)
        self.reads, self.bad, self.pictures = [0] * count, bad, []
        for _ in range(count):
            high, wide = torch.randint(20, largest, (2,), generator=draw).tolist()
            coarse = torch.rand(1, 3, 2 + high // 8, 2 + wide // 8, generator=draw)
            fine = functional.interpolate(coarse, size=(high, wide), mode="bilinear")[0]
            self.pictures.append((fine * 255).to(torch.uint8))

    def read(self, row):
        self.reads[row] += 1
        if row in self.bad:
            raise DataError(f"picture {row} is broken")
        return self.pictures[row].clone()

    def whole(self):
        return None


def images(reader, *, turned=(), **more):
    count = len(reader.pictures)
    sizes = [tuple(p.shape[1:]) for p in reader.pictures]
    sizes = [s[::-1] if i in turned else s for i, s in enumerate(sizes)]
    return ImageSet("set", ("a", "b"), [n % 2 for n in range(count)],
                    [str(n) for n in range(count)], reader, sizes=sizes, **more)  # fmt: skip


def pair(transform, reader=None, **more):
    """A loader as it is, and one whose images lie on the device."""
    reader = reader or Reader()
    usual = Loader(images(Reader(len(reader.pictures))), transform, batch_size=8, seed=5)
    there = Loader(images(reader, **more), transform, batch_size=8, seed=5)
    assert there.reside(CPU, 1 << 30, (3, 24, 20), threads=3) > 0
    return usual, there


@pytest.mark.parametrize("turned", [(), (0, 1, 2, 3, 4, 5)])
def test_the_same_parts_are_shown_and_each_image_is_read_once(turned):
    reader = Reader()
    usual, there = pair(Standard(SMALL), reader, turned=turned)
    for epoch in range(3):
        for one, other in zip(usual.epoch(epoch), there.epoch(epoch), strict=True):
            assert torch.equal(one.indices, other.indices)
            assert torch.equal(one.labels, other.labels)
            away = (one.images.int() - other.images.int()).abs()
            assert int(away.max()) <= 1
    assert reader.reads == [1] * 21
    there.close()


def test_what_a_fixed_transform_gives_is_kept_as_it_is():
    reader = Reader()
    usual, there = pair(CenterCrop(SMALL), reader)
    for _ in range(2):
        for one, other in zip(usual.epoch(0), there.epoch(0), strict=True):
            assert torch.equal(one.images, other.images)
    assert reader.reads == [1] * 21
    assert there._source.bytes == 21 * 3 * 24 * 20
    there.close()


def test_an_epoch_entered_in_its_middle_reads_what_it_shows():
    reader = Reader()
    usual, there = pair(Standard(SMALL), reader)
    late = list(there.epoch(0, 2))
    assert sum(reader.reads) == sum(len(batch.indices) for batch in late)
    for one, other in zip(usual.epoch(1), there.epoch(1), strict=True):
        assert (one.images.int() - other.images.int()).abs().max() <= 1
    assert reader.reads == [1] * 21
    there.close()


def test_a_loader_that_is_left_and_closed_begins_anew():
    reader = Reader()
    _, there = pair(Standard(SMALL), reader)
    batches = there.epoch(0)
    first = next(batches)
    batches.close()
    there.close()
    assert there._source.bytes == 0
    again = next(there.epoch(0))
    assert torch.equal(first.images, again.images)
    there.close()


def test_images_that_cannot_be_read():
    reader = Reader(bad=(3, 7))
    _, stops = pair(Standard(SMALL), reader)
    with pytest.raises(DataError, match="is broken"):
        list(stops.epoch(0))
    _, skips = pair(Standard(SMALL), Reader(bad=(3, 7)), on_bad="skip")
    for epoch in range(2):
        seen = torch.cat([batch.indices for batch in skips.epoch(epoch)]).tolist()
        assert sorted(seen) == [n for n in range(21) if n not in (3, 7)]
    assert set(skips.skipped) == {"3", "7"}
    skips.close()


def test_random_states_stay_as_they_were():
    _, there = pair(Standard(SMALL))
    before = torch.get_rng_state()
    list(there.epoch(0))
    assert torch.equal(torch.get_rng_state(), before)
    there.close()


def test_the_next_batch_is_made_while_one_is_used():
    _, there = pair(Standard(SMALL))
    source = there._source
    batches = there.epoch(0)
    next(batches)
    next(batches)
    deadline = time.monotonic() + 10
    while len(source._places) < 21 and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(source._places) == 21  # of three batches, two were asked for
    batches.close()
    there.close()


def test_what_a_set_needs():
    reader = Reader(2)
    reader.pictures = [torch.zeros(3, 100, 129), torch.zeros(3, 300, 10)]
    known = images(reader)
    assert need_of(View(known, Standard(SMALL), 0), (3, 24, 20)) == 3 * GRID**2 * (2 + 3)
    assert need_of(View(known, CenterCrop(SMALL), 0, fixed=True), (3, 24, 20)) == 2 * 3 * 24 * 20
    assert need_of(View(known, Standard(SMALL, policy="randaugment"), 0), (3, 24, 20)) is None
    assert need_of(View(known, RandomCrop(SMALL), 0), (3, 24, 20)) is None
    assert need_of(View(known, None, 0), (3, 24, 20)) is None


def test_what_does_not_fit_stays_where_it_is():
    reader = Reader()
    loader = Loader(images(reader), Standard(SMALL), batch_size=8)
    assert loader.reside(CPU, 1000, (3, 24, 20), threads=1) == 0
    assert not isinstance(loader._source, Resident)
