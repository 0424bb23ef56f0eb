"""zoo.engine.prefix.runner: a batch's images through the prefix, whole or a few at a time."""

from __future__ import annotations

import pytest
import torch

from tests.helpers.prefixcase import CPU, SHOWN, SPEC, Small
from zoo.core.recipe import FreezePart
from zoo.engine.feed import Feed
from zoo.engine.freezing.freeze import plan_freeze
from zoo.engine.freezing.frozen import Frozen
from zoo.engine.place import Place
from zoo.engine.prefix.cut import cut
from zoo.engine.prefix.runner import PART, PrefixRunner, even

BF16 = Place(device=torch.device("cpu"), precision="bf16", channels_last=True)


def prefix_of(model):
    plan = plan_freeze(model, SPEC, FreezePart(upto="one"), SHOWN)
    Frozen(model, plan)
    return cut(model, plan, SHOWN).prefix(fold=True)


def pixels(count):
    return torch.randint(0, 256, (count, 3, 16, 16), dtype=torch.uint8)


@pytest.mark.parametrize("count", [1, 8, 9, 17, 32, 33])
def test_a_few_images_at_a_time_give_what_the_whole_gives(count):
    prefix = prefix_of(Small().to(memory_format=torch.channels_last))
    images, feed = pixels(count), Feed(BF16, SHOWN)
    whole = PrefixRunner(prefix, feed, BF16)(images)
    runner = PrefixRunner(prefix, feed, BF16, spare=True)
    parts = runner(images)
    assert parts.shape == whole.shape == (count, 16, 4, 4)
    assert parts.is_contiguous(memory_format=torch.channels_last)
    assert parts.dtype == torch.bfloat16
    assert not parts.requires_grad
    torch.testing.assert_close(parts, whole, rtol=0.02, atol=0.02)
    assert torch.equal(parts, runner(images))  # the same batch, the same bits


@pytest.mark.parametrize(
    ("spare", "count", "sizes"),
    [(False, 34, [34]), (True, 34, [7, 7, 7, 7, 6]), (True, PART, [PART]), (True, 9, [5, 4])],
)
def test_sparing_memory_computes_a_few_at_a_time(spare, count, sizes):
    seen = []

    def prefix(images):
        seen.append(len(images))
        return images.mean((2, 3))

    images = pixels(count)
    given = PrefixRunner(prefix, Feed(CPU), CPU, spare=spare)(images)
    assert seen == sizes
    torch.testing.assert_close(given, images.float().mean((2, 3)) / 255)


@pytest.mark.parametrize(
    ("count", "most", "size"), [(1, 8, 1), (8, 8, 8), (9, 8, 5), (32, 8, 8), (33, 8, 7)]
)
def test_parts_are_even(count, most, size):
    assert even(count, most) == size


def test_modes_are_put_back_after_each_part():
    model = Small().to(memory_format=torch.channels_last)
    prefix = prefix_of(model)
    model.train()
    flags = [m.training for m in model.modules()]
    PrefixRunner(prefix, Feed(BF16, SHOWN), BF16, spare=True)(pixels(32))
    assert [m.training for m in model.modules()] == flags
