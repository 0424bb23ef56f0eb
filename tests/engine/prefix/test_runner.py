"""zoo.engine.prefix.runner: a batch's images through the prefix, in parts side by side."""

from __future__ import annotations

import threading

import pytest
import torch

from tests.helpers.prefixcase import CPU, SHOWN, SPEC, Small
from zoo.core.recipe import FreezePart
from zoo.engine.feed import Feed
from zoo.engine.freezing.freeze import plan_freeze
from zoo.engine.freezing.frozen import Frozen
from zoo.engine.place import Place
from zoo.engine.prefix.cut import cut
from zoo.engine.prefix.runner import PART, PrefixRunner, team

TWO = Place(device=torch.device("cpu"), precision="bf16", channels_last=True, threads=2)


@pytest.fixture(autouse=True)
def _threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def prefix_of(model):
    plan = plan_freeze(model, SPEC, FreezePart(upto="one"), SHOWN)
    Frozen(model, plan)
    return cut(model, plan, SHOWN).prefix(fold=True)


def pixels(count):
    return torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8)


@pytest.mark.parametrize("count", [1, 8, 9, 17, 32, 33])
def test_parts_side_by_side_give_what_the_whole_gives(count):
    torch.set_num_threads(2)
    prefix = prefix_of(Small().to(memory_format=torch.channels_last))
    images, feed = pixels(count), Feed(TWO, SHOWN)
    whole = PrefixRunner(prefix.run, feed, TWO, ready=prefix.ready)(images)
    runner = PrefixRunner(prefix.run, feed, TWO, ready=prefix.ready, parts=True)
    parts = runner(images)
    assert parts.shape == whole.shape == (count, 16, 4, 4)
    assert parts.stride() == whole.stride() or count == 1
    assert parts.dtype == torch.bfloat16
    torch.testing.assert_close(parts, whole, rtol=0.02, atol=0.02)
    assert torch.equal(parts, runner(images))  # the same batch, the same bits
    runner.close()
    assert torch.equal(parts, runner(images))  # and after new threads began
    runner.close()


def test_parts_are_small_even_and_run_on_threads_that_share_the_cores():
    torch.set_num_threads(2)
    seen = []

    def prefix(images):
        seen.append((len(images), torch.get_num_threads(), threading.current_thread().name))
        return images.mean((2, 3))

    runner = PrefixRunner(prefix, Feed(TWO), TWO, parts=True)
    runner(pixels(34))
    assert sorted(size for size, _, _ in seen) == [6, 7, 7, 7, 7]
    assert {threads for _, threads, _ in seen} == {1}
    assert all(name.startswith("zoo-prefix") for _, _, name in seen)
    assert torch.get_num_threads() == 2
    seen.clear()
    runner(pixels(PART))
    assert seen == [(PART, 2, threading.current_thread().name)]
    runner.close()
    assert not any(t.name.startswith("zoo-prefix") for t in threading.enumerate())


@pytest.mark.parametrize(("threads", "pieces", "each"), [(2, 4, 1), (8, 4, 2), (16, 3, 5)])
def test_a_team_shares_the_threads(threads, pieces, each):
    before = torch.get_num_threads()
    try:
        made = team(threads, pieces)
        found = {made.submit(torch.get_num_threads).result() for _ in range(8)}
        assert found == {each}
        assert torch.get_num_threads() == threads
        made.shutdown()
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("place", [CPU, Place(device=torch.device("cpu"), threads=1)])
def test_one_thread_computes_the_batch_in_one_go(place):
    sizes = []

    def prefix(images):
        sizes.append(len(images))
        return images.mean((2, 3))

    PrefixRunner(prefix, Feed(place), place, parts=True)(pixels(33))
    assert sizes == [33]


def test_the_error_of_a_part_is_the_callers():
    def prefix(images):
        raise ValueError("this one")

    runner = PrefixRunner(prefix, Feed(TWO), TWO, parts=True)
    with pytest.raises(ValueError, match="this one"):
        runner(pixels(32))
    runner.close()


def test_modes_are_put_back_once_all_parts_are_done():
    model = Small().to(memory_format=torch.channels_last)
    prefix = prefix_of(model)
    model.train()
    flags, inside = [m.training for m in model.modules()], []

    def run(images):
        inside.append(any(m.training for m in (*model.stem.modules(), *model.one.modules())))
        return prefix.run(images)

    runner = PrefixRunner(run, Feed(TWO, SHOWN), TWO, ready=prefix.ready, parts=True)
    runner(pixels(32))
    assert [m.training for m in model.modules()] == flags
    assert inside == [False] * 4
    runner.close()
