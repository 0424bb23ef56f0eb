from __future__ import annotations

import pytest
import torch
from prefixcase import CPU, SHOWN, SPEC, Case, Keep, Small, numbers
from torch import nn

from zoo.core.recipe import FreezePart
from zoo.engine.freezing.freeze import plan_freeze
from zoo.engine.prefix.cut import cut
from zoo.engine.prefix.windows import Windows, windows
from zoo.errors import UsageError

MAPS = torch.arange(5 * 2 * 8 * 6).float().view(5, 2, 8, 6)
DRAWN = Windows((8, 6), (6, 5), seed=3)


def made(model, upto="stem"):
    plan = plan_freeze(model, SPEC, FreezePart(upto=upto, allow_random_frozen=True), SHOWN)
    found = cut(model, plan, SHOWN)
    return found, found.prefix()(torch.randn(2, 3, 16, 16))


def test_a_window_is_a_part_of_its_own_map():
    rows = torch.arange(5)
    seen = set()
    for batch in range(20):
        parts = DRAWN.cut(MAPS, rows, epoch=4, batch=batch, nhwc=False)
        high, wide = parts.shape[2:]
        assert (high, wide) == DRAWN.size(4, batch)
        seen.add((high, wide))
        for whole, part in zip(MAPS, parts, strict=True):
            top, left = divmod(int(part[0, 0, 0] - whole[0, 0, 0]), 6)
            assert torch.equal(part, whole[:, top : top + high, left : left + wide])
    assert seen == {(6, 5), (7, 5), (8, 6)}


def test_places_differ_by_image_and_epoch_and_reach_every_edge():
    images = torch.arange(400)
    maps = torch.arange(48.0).view(1, 1, 8, 6).repeat(400, 1, 1, 1)
    batch = next(b for b in range(20) if DRAWN.size(1, b) == (6, 5))
    corners = DRAWN.cut(maps, images, epoch=1, batch=batch, nhwc=False)[:, 0, 0, 0]
    assert set(corners.tolist()) == {0, 1, 6, 7, 12, 13}
    later = next(b for b in range(20) if DRAWN.size(2, b) == (6, 5))
    assert not torch.equal(
        corners, DRAWN.cut(maps, images, epoch=2, batch=later, nhwc=False)[:, 0, 0, 0]
    )


def test_a_window_depends_on_the_image_and_not_on_its_neighbours():
    rows = torch.tensor([3, 1])
    some = DRAWN.cut(MAPS[rows], rows, epoch=2, batch=1, nhwc=False)
    every = DRAWN.cut(MAPS, torch.arange(5), epoch=2, batch=1, nhwc=False)
    assert torch.equal(some, every[rows])


def test_both_layouts_give_the_same_parts():
    rows = torch.arange(5)
    packed = MAPS.permute(0, 2, 3, 1).contiguous()
    for batch in range(4):
        one = DRAWN.cut(MAPS, rows, epoch=1, batch=batch, nhwc=False)
        other = DRAWN.cut(packed, rows, epoch=1, batch=batch, nhwc=True)
        assert torch.equal(one, other.permute(0, 3, 1, 2))
        assert one.is_contiguous()
        assert other.is_contiguous()


def test_a_batch_without_images_stays_one():
    none = torch.empty(0, dtype=torch.int64)
    assert len(DRAWN.cut(MAPS[:0], none, epoch=1, batch=0, nhwc=False)) == 0


def test_what_slides_over_its_map_takes_windows_and_stays_as_it_is():
    found, out = made(Small())
    before = {name: value.clone() for name, value in found.model.state_dict().items()}
    found.model.train()
    drawn = windows(found, out, CPU, seed=1, share=0.6)
    assert drawn == Windows((8, 8), (5, 5), 1)
    assert found.model.training
    assert all(torch.equal(v, before[k]) for k, v in found.model.state_dict().items())
    assert windows(found, out, CPU, seed=1, share=1.0) is None


class Flattened(Small):
    """Its head knows every place of the map."""

    def __init__(self):
        super().__init__()
        self.fc = nn.Linear(32 * 2 * 2, 3)

    def forward(self, x):
        return self.fc(self.two(self.one(self.stem(x))).flatten(1))


def test_what_knows_the_places_of_its_map_takes_none():
    found, out = made(Flattened())
    assert found.possible
    assert windows(found, out, CPU, seed=1, share=0.5) is None


class Halved(Small):
    """Takes maps of even sides only."""

    def forward(self, x):
        x = self.one(self.stem(x)).unflatten(3, (-1, 2)).flatten(3)
        return self.fc(self.two(x).mean((2, 3)))


def test_every_size_is_tried():
    found, out = made(Halved())
    assert found.possible
    found.tail()(out[:, :, :4, :4])  # the smallest would do
    assert windows(found, out, CPU, seed=1, share=0.5) is None


def test_vectors_have_no_windows():
    found, out = made(Small(), upto="two")
    assert out.ndim == 2
    assert windows(found, out, CPU, seed=1, share=0.6) is None


def test_the_epochs_that_fill_the_cache_show_whole_maps_and_later_ones_parts(tmp_path):
    case = Case(tmp_path, mode="ram", views=1, epochs=4, freeze="stem", crop=0.5)
    assert "(1 view, " in case.used.line
    assert "for 4 epochs, then random parts of 4x4 to 8x8; --views fresh" in case.used.line
    source = case.used.train
    first = {
        i: m for b in source.epoch(0) for i, m in zip(b.indices.tolist(), b.images, strict=True)
    }
    sizes = set()
    for epoch in (1, 2, 3):
        for number, batch in enumerate(source.epoch(epoch)):
            sizes.add(batch.images.shape[2:])
            whole = torch.stack([first[i] for i in batch.indices.tolist()])
            parts = source.windows.cut(whole, batch.indices, epoch=epoch, batch=number, nhwc=False)
            assert torch.equal(parts, batch.images)
    assert len(sizes) > 2
    again = Case(tmp_path, mode="ram", views=1, epochs=4, freeze="stem", crop=0.5).used.train
    list(again.epoch(0))
    entered = [b.images for b in again.epoch(3, 1)]  # in the middle of an epoch
    assert all(map(torch.equal, entered, [b.images for b in source.epoch(3)][1:]))
    case.used.close()


def test_a_run_on_windows_that_is_left_and_taken_up_again_is_the_same_run(tmp_path):
    wish = {"mode": "ram", "views": 1, "epochs": 3, "freeze": "stem", "crop": 0.5}
    whole = numbers(Case(tmp_path, **wish))
    assert whole[1] != numbers(Case(tmp_path, **{**wish, "crop": 1.0}))[1]
    case = Case(tmp_path, **wish)
    case.go(stop_after=6)  # in the middle of the second epoch
    tensors, skeleton = case.at.capture()
    tensors = {k: v.clone() for k, v in tensors.items()}
    again = Case(tmp_path, **wish)
    live = again.live()
    live.restore(tensors, skeleton)
    again.go(live)
    state = {f"m.{k}": v for k, v in again.model.state_dict().items()}
    assert all(torch.equal(v, whole[0][k]) for k, v in state.items())


def test_a_transform_without_randomness_stays_without(tmp_path):
    case = Case(tmp_path, mode="ram", transform=Keep(), epochs=3, freeze="stem")
    assert case.used.train.windows is None
    assert "random parts" not in case.used.line


@pytest.mark.parametrize(
    ("wish", "why"),
    [
        ({"views": 0}, "for views that come back, and none does"),
        ({"views": 3}, "for views that come back, and none does"),
        ({"views": 1, "freeze": "backbone"}, "takes no part of its 32"),
    ],
)
def test_a_wish_that_would_change_nothing_is_refused(tmp_path, wish, why):
    with pytest.raises(UsageError, match=why) as caught:
        Case(tmp_path, **{"mode": "ram", "epochs": 3, "crop": 0.5, "freeze": "stem", **wish})
    assert "leave --view-crop out" in caught.value.hint
