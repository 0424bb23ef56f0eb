import os
import subprocess
import sys
import threading

import pytest
import torch

from zoo.builtin.transforms import CenterCrop, RandomCrop, Standard
from zoo.core.specs import InputSpec
from zoo.data.images import ImageSet
from zoo.data.loaders import Loader
from zoo.data.together import Together, can_be_shared
from zoo.data.views import View, first_numbers, seed_from
from zoo.errors import DataError

SMALL = InputSpec(size=(3, 24, 20))


class Reader:
    """Pictures of many sizes; remembers who read them."""

    def __init__(self, count=21, bad=()):
        draw = torch.Generator().manual_seed(0)
        sizes = torch.randint(20, 90, (count, 2), generator=draw).tolist()
        self.pictures = [
            torch.randint(0, 256, (3, *size), dtype=torch.uint8, generator=draw) for size in sizes
        ]
        self.bad, self.readers, self.reads = bad, set(), 0

    def read(self, row):
        self.readers.add(threading.current_thread().name)
        self.reads += 1
        if row in self.bad:
            raise DataError(f"picture {row} is broken")
        return self.pictures[row].clone()

    def whole(self):
        return None


def images(reader, **more):
    count = len(reader.pictures)
    return ImageSet("set", ("a", "b"), [n % 2 for n in range(count)],
                    [str(n) for n in range(count)], reader, **more)  # fmt: skip


@pytest.mark.parametrize("transform", [Standard(SMALL), CenterCrop(SMALL)])
@pytest.mark.parametrize("keep", [False, True])
def test_threads_give_the_bytes_of_one_after_the_other(transform, keep):
    one = Loader(images(Reader()), transform, batch_size=8, seed=5)
    reader = Reader()
    many = Loader(images(reader), transform, batch_size=8, seed=5, threads=3)
    if keep:
        assert many.keep(1 << 30)
    for epoch in range(3):
        for alone, shared in zip(one.epoch(epoch), many.epoch(epoch), strict=True):
            assert all(map(torch.equal, alone, shared))
    assert all(name.startswith("zoo-read") for name in reader.readers)
    assert reader.reads == (21 if keep else 63)
    many.close()
    assert torch.equal(next(many.epoch(2)).images, next(one.epoch(2)).images)
    many.close()


def test_random_states_stay_as_they_were():
    loader = Loader(images(Reader()), Standard(SMALL), batch_size=8, threads=2)
    state = torch.get_rng_state()
    list(loader.epoch(0))
    assert torch.equal(torch.get_rng_state(), state)
    loader.close()


def test_what_draws_for_itself_is_not_shared():
    for transform in (RandomCrop(SMALL), Standard(SMALL, policy="randaugment")):
        assert not can_be_shared(View(images(Reader()), transform, 0))
        reader = Reader()
        list(Loader(images(reader), transform, batch_size=8, threads=3).epoch(0))
        assert reader.readers == {threading.current_thread().name}
    assert can_be_shared(View(images(Reader()), None, 0, fixed=True))


def test_images_that_cannot_be_read():
    stops = Loader(images(Reader(bad=(3, 7))), Standard(SMALL), batch_size=21, threads=3)
    order = stops.indices(0)[0].tolist()
    first = min((3, 7), key=order.index)
    with pytest.raises(DataError, match=f"picture {first} is broken"):
        list(stops.epoch(0))
    skips = Loader(
        images(Reader(bad=(3, 7)), on_bad="skip"), Standard(SMALL), batch_size=8, threads=3
    )
    seen = torch.cat([batch.indices for batch in skips.epoch(0)]).tolist()
    assert sorted(seen) == [n for n in range(21) if n not in (3, 7)]
    assert set(skips.skipped) == {"3", "7"}
    skips.close()


def test_the_thread_that_asks_keeps_its_number_of_threads():
    code = """
import torch
from zoo.data.together import reading_pool
torch.set_num_threads(2)
pool = reading_pool(2)
assert set(pool.map(lambda _: torch.get_num_threads(), range(8))) == {1}
torch.rand(2000, 500).exp()
assert torch.get_num_threads() == 2
"""
    env = {**os.environ, "OMP_NUM_THREADS": "2"}
    subprocess.run([sys.executable, "-c", code], check=True, env=env, timeout=60)


def test_other_errors_come_through():
    view = View(images(Reader(3)), CenterCrop(InputSpec(size=(3, 8, 8))), 0, fixed=True)
    together = Together(view, 2)
    with pytest.raises(IndexError):
        together.take([(0, 0), (0, 99)])
    together.close()


def test_the_first_numbers_are_those_of_the_seeded_generator():
    found = first_numbers([(2, 7), (3, 1)], 23, 11)
    before = torch.get_rng_state()
    try:
        for row, key in zip(found, [(2, 7), (3, 1)], strict=True):
            seed_from(11, *key)
            assert torch.equal(row, torch.rand(23))
            seed_from(11, *key)
            assert row[:20].tolist() == torch.rand(10, 2).flatten().tolist()
            assert row[20:22].tolist() == torch.rand(2).tolist()
            assert row[22].item() == torch.rand(()).item()
    finally:
        torch.set_rng_state(before)
