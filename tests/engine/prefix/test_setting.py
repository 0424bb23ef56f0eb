from __future__ import annotations

import pytest
import torch
from prefixcase import CPU, SHOWN, SPEC, Case, Small

from zoo.core.recipe import FreezePart
from zoo.engine.feed import Feed
from zoo.engine.freezing.freeze import plan_freeze
from zoo.engine.place import Place, autocast
from zoo.engine.prefix.cut import cut
from zoo.engine.prefix.setting import CacheWish, fuse, look
from zoo.engine.processes.distributed import ALONE


def seen(tmp_path, wish=None, place=CPU, upto="one"):
    model = Small().to(memory_format=torch.channels_last) if place.channels_last else Small()
    plan = plan_freeze(model, SPEC, FreezePart(upto=upto, allow_random_frozen=True), SHOWN)
    train = Case(tmp_path).used.train
    made = cut(model, plan, SHOWN)
    return look(made, place, wish or CacheWish(), Feed(place, SHOWN), tmp_path, {}, ALONE, train)


def test_what_is_kept_is_what_the_prefix_gives(tmp_path):
    found = seen(tmp_path)
    assert found.row == (16, 4, 4)
    assert found.natural == found.stored == torch.float32
    assert not found.nhwc
    assert not found.folded
    assert found.row_bytes(train=True) == found.row_bytes(train=False) == 4 * 16 * 4 * 4


def test_channels_last_and_bf16_are_kept_as_they_are(tmp_path):
    place = Place(device=torch.device("cpu"), precision="bf16", channels_last=True)
    found = seen(tmp_path, place=place)
    assert found.row == (4, 4, 16)
    assert found.nhwc
    assert found.folded
    assert found.row_bytes(train=True) == found.row_bytes(train=False) == 2 * 16 * 4 * 4


def test_another_type_may_be_asked_for(tmp_path):
    found = seen(tmp_path, CacheWish(dtype="fp16"))
    assert (found.natural, found.stored) == (torch.float32, torch.float16)


@pytest.mark.parametrize(
    ("crop", "least"), [(None, (3, 3)), (0.5, (2, 2)), (0.1, (1, 1)), (1.0, None)]
)
def test_windows_are_on_unless_whole_maps_are_asked_for(tmp_path, crop, least):
    found = seen(tmp_path, CacheWish(crop=crop)).windows
    assert (found.least if found else None) == least
    assert found is None or (found.side, found.seed) == ((4, 4), 5)


def test_vectors_have_none(tmp_path):
    assert seen(tmp_path, upto="two").windows is None


def test_only_processors_that_compute_in_bf16_fuse(tmp_path):
    for place in (CPU, Place(device=torch.device("cpu"), precision="bf16")):
        found = seen(tmp_path, place=place)
        fuse(found, Feed(place, SHOWN))
        assert not found.fused
    place = Place(device=torch.device("cpu"), precision="bf16", channels_last=True)
    found = seen(tmp_path, place=place)
    images = torch.randint(0, 256, (3, *SHOWN.size), dtype=torch.uint8)
    with torch.no_grad(), autocast(place):
        plain = found.prefix(Feed(place, SHOWN).images(images))
        fuse(found, Feed(place, SHOWN))
        again = found.prefix(Feed(place, SHOWN).images(images))
    assert found.fused == torch.ops.mkldnn._is_mkldnn_bf16_supported()
    torch.testing.assert_close(again, plain, rtol=0.05, atol=0.05)
