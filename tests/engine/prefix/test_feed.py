from __future__ import annotations

import torch
from prefixcase import CPU

from zoo.data.views import Batch
from zoo.engine.prefix.feed import PrefixFeed, pack, unpack


def test_a_channels_last_map_keeps_its_layout():
    x = torch.randn(2, 3, 4, 5).to(memory_format=torch.channels_last)
    kept = pack(x, nhwc=True)
    assert kept.is_contiguous()
    assert torch.equal(unpack(kept, nhwc=True), x)
    assert unpack(kept, nhwc=True).is_contiguous(memory_format=torch.channels_last)


def test_the_feed_only_moves_and_casts():
    feed = PrefixFeed(CPU, torch.float32)
    rows = torch.arange(4)
    batch = Batch(torch.ones(4, 3, dtype=torch.bfloat16), rows % 2, rows)
    given, labels = feed(batch, train=True)
    assert given.dtype == torch.float32
    assert torch.equal(given, torch.ones(4, 3))
    assert labels.shape == (4,)
