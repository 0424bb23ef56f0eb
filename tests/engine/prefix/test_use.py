from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from prefixcase import CPU, SHOWN, Case, Keep, Small, Twelve, equal, numbers

from zoo.engine.feed import Feed
from zoo.engine.place import Place
from zoo.engine.prefix.setting import CacheWish
from zoo.engine.prefix.use import use_prefix
from zoo.errors import UsageError


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize("freeze", ["stem", "one", "one.0", "backbone"])
def test_fresh_views_give_the_uncut_run_bit_for_bit(tmp_path, freeze):
    uncut = numbers(Case(tmp_path, freeze=freeze))
    case = Case(tmp_path, freeze=freeze, mode="ram")
    assert case.used.used
    assert "train computed for fresh views; val in memory" in case.used.line
    assert equal(numbers(case), uncut)


@pytest.mark.parametrize("mode", ["ram", "disk"])
def test_as_many_views_as_epochs_give_the_uncut_run_bit_for_bit(tmp_path, mode):
    uncut = numbers(Case(tmp_path))
    case = Case(tmp_path, mode=mode, views=2)
    assert equal(numbers(case), uncut)


@pytest.mark.parametrize("mode", ["ram", "disk"])
def test_kept_views_come_back_and_nothing_is_decoded_again(tmp_path, mode):
    case = Case(tmp_path, mode=mode, views=1, epochs=4, crop=1.0)
    assert "(1 view, " in case.used.line
    numbers(case)
    assert case.pictures.read == 22
    source = case.used.train
    view = {}
    for batch in source.loader.epoch(0):
        view.update(zip(batch.indices.tolist(), batch.images, strict=True))
    again = list(source.epoch(3))
    source.close()
    assert [b.indices.tolist() for b in again] == [r.tolist() for r in source.loader.indices(3)]
    for batch in again:
        pixels = torch.stack([view[index] for index in batch.indices.tolist()])
        torch.testing.assert_close(batch.images, source.runner(pixels))


SMALLER = dataclasses.replace(SHOWN, size=(3, 12, 12))


@pytest.mark.parametrize("wish", [{}, {"views": 2, "mode": "disk"}])
def test_training_on_smaller_images_is_the_uncut_run_bit_for_bit(tmp_path, wish):
    smaller = {"transform": Twelve(), "seen": SMALLER}
    uncut = numbers(Case(tmp_path, **smaller))
    case = Case(tmp_path, **smaller, **{"mode": "ram", **wish})
    assert case.used.used
    if wish:
        assert "on disk (2 views, 25 kB)" in case.used.line  # 22 images, 2 views, 16 x 3 x 3 floats
    assert "(9.2 kB)" in case.used.line  # 9 images, 16 x 4 x 4 floats
    assert equal(numbers(case), uncut)


class Places(Small):
    """Its head knows every place of the map."""

    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(32 * 4 * 4, 3)

    def forward(self, x):
        x = self.one(self.stem(x))
        return self.fc(torch.nn.functional.interpolate(self.two[0](x), size=x.shape[2:]).flatten(1))


def test_what_does_not_take_the_training_size_runs_uncut(tmp_path):
    case = Case(tmp_path, model=Places(), transform=Twelve(), seen=SMALLER, mode="ram")
    assert not case.used.used
    assert "takes no images of the training size" in case.used.line


def test_a_fixed_transform_needs_one_view(tmp_path):
    uncut = numbers(Case(tmp_path, transform=Keep(), epochs=3))
    case = Case(tmp_path, transform=Keep(), epochs=3, mode="ram")
    assert "train in memory (1 view" in case.used.line
    cached = numbers(case)
    for one, other in zip(cached[1], uncut[1], strict=True):
        assert one == pytest.approx(other, rel=1e-4)


def test_a_run_that_is_left_and_taken_up_again_is_the_same_run(tmp_path):
    whole = numbers(Case(tmp_path, mode="ram", views=1, epochs=3))
    case = Case(tmp_path, mode="ram", views=1, epochs=3)
    case.go(stop_after=2)  # in the middle of the first epoch
    tensors, skeleton = case.at.capture()
    tensors = {k: v.clone() for k, v in tensors.items()}
    again = Case(tmp_path, mode="ram", views=1, epochs=3)
    live = again.live()
    live.restore(tensors, skeleton)
    again.go(live)
    state = {f"m.{k}": v for k, v in again.model.state_dict().items()}
    assert all(torch.equal(v, whole[0][k]) for k, v in state.items())


def test_a_second_run_finds_what_the_first_one_kept(tmp_path):
    one = Case(tmp_path, mode="disk", views=1)
    first = numbers(one)
    other = Case(tmp_path, mode="disk", views=1)
    assert equal(numbers(other), first)
    assert other.pictures.read == 8  # one chunk was computed again, to be sure
    # Another seed draws other views in another order: nothing is taken from there.
    assert len(list((tmp_path / "prefix").iterdir())) == 2


def test_damage_is_found_and_repaired(tmp_path):
    first = numbers(Case(tmp_path, mode="disk", views=1))
    for file in (tmp_path / "prefix").glob("*/features.bin"):
        raw = bytearray(file.read_bytes())
        raw[len(raw) // 2] ^= 1
        file.write_bytes(raw)
    case = Case(tmp_path, mode="disk", views=1)
    assert equal(numbers(case), first)
    assert "damaged" in " ".join(case.used.train.notes)


def test_a_cache_of_other_numbers_is_not_believed(tmp_path):
    numbers(Case(tmp_path, mode="disk", views=1))
    case = Case(tmp_path, mode="disk", views=1)
    case.pictures.pixels = 255 - case.pictures.pixels  # the same fingerprint, other images
    case.used.train.loader.images.reader.dataset.pixels = case.pictures.pixels
    numbers(case)
    assert "do not fit" in " ".join(case.used.train.notes)


def test_bf16_keeps_half_and_learns_the_same(tmp_path):
    place = Place(device=torch.device("cpu"), precision="bf16", channels_last=True)
    case = Case(tmp_path, mode="ram", views=1, place=place, freeze="two")
    assert "before drop: 32 bfloat16" in case.used.line
    assert "norms folded" in case.used.line
    cached = numbers(case)
    uncut = numbers(Case(tmp_path, place=place, freeze="two"))
    assert cached[1][0][0] == pytest.approx(uncut[1][0][0], rel=0.05)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"mode": "off"}, "the cache is off"),
        ({"place": Place(device=torch.device("cpu"), compile=True)}, "steps are compiled"),
    ],
)
def test_what_is_not_cut_runs_as_before(tmp_path, change, why):
    case = Case(tmp_path, **{"mode": "auto", **change})
    assert not case.used.used
    assert case.used.line == ("" if "mode" in change else f"runs uncut: {why}")
    assert not case.used.notes
    views = Case(tmp_path, **{"mode": "auto", "views": 1, **change})
    assert views.used.notes == (
        f"--views 1 has no effect, every epoch draws anew: the model runs uncut ({why})",
    )
    assert not Case(tmp_path, **{"mode": "auto", "views": 2, "crop": 1.0, **change}).used.notes
    with pytest.raises(UsageError, match=f"--view-crop 0.5 .* uncut: {why}") as raised:
        Case(tmp_path, **{"mode": "auto", "views": 1, "crop": 0.5, **change})
    assert raised.value.hint == "leave --view-crop out"
    assert case.used.cut(case.model) is case.model


def test_auto_chooses_the_views_and_says_which_flag_changes_that(tmp_path, monkeypatch):
    few = Case(tmp_path, mode="ram", views=None, epochs=5)
    assert "train computed for fresh views" in few.used.line
    monkeypatch.setattr("zoo.engine.prefix.choice.FEW", 20)
    monkeypatch.setattr("zoo.engine.prefix.choice.SAMPLES", 60)
    case = Case(tmp_path, mode="ram", views=None, epochs=6)
    assert "train in memory (3 views, " in case.used.line
    assert (
        "for 6 epochs, then random parts of 3x3 to 4x4; --views fresh draws anew each epoch"
        in case.used.line
    )
    whole = Case(tmp_path, mode="ram", views=None, epochs=6, crop=1.0)
    assert "train computed for fresh views" in whole.used.line
    head = Case(tmp_path, mode="ram", views=None, epochs=6, freeze="backbone")
    assert "train in memory (3 views, " in head.used.line
    assert "for 6 epochs; --views fresh" in head.used.line


def test_mixing_is_not_cut(tmp_path):
    case = Case(tmp_path)
    plan, feed = case.frozen.plan, Feed(CPU, SHOWN, [lambda x, y: (x, y)])
    mixed = use_prefix(
        case.model,
        plan,
        SHOWN,
        train=case.used.train,
        val=case.used.val,
        feed=feed,
        place=CPU,
        wish=CacheWish(),
        epochs=2,
        root=tmp_path,
        identity={"train": "", "val": ""},
    )
    assert "mix images" in mixed.line


def test_auto_keeps_little_on_the_disk_so_that_the_next_run_finds_it(tmp_path, monkeypatch):
    first = numbers(Case(tmp_path, mode="auto", views=1, epochs=3))
    case = Case(tmp_path, mode="auto", views=1, epochs=3)
    assert "train on disk (1 view" in case.used.line
    assert equal(numbers(case), first)
    assert case.pictures.read == 8
    monkeypatch.setattr("zoo.engine.prefix.use.easy_budget", lambda _root: 0)
    assert "train in memory (1 view" in Case(tmp_path, mode="auto", views=1, epochs=3).used.line


@pytest.mark.parametrize("mode", ["auto", "disk"])
def test_of_images_that_may_change_unseen_nothing_is_kept_for_later_runs(tmp_path, mode):
    wish = {"mode": mode, "views": 1, "epochs": 3, "lasting": False}
    first = numbers(Case(tmp_path, **wish))
    case = Case(tmp_path, **wish)
    assert "not for later runs" in case.used.line
    assert ("train in memory" in case.used.line) is (mode == "auto")
    assert equal(numbers(case), first)
    assert case.pictures.read == 22
    assert not list((tmp_path / "prefix").glob("*/features.bin"))


def test_auto_goes_on_in_memory_where_the_disk_fails_or_another_run_is_at_it(tmp_path):
    first = numbers(Case(tmp_path / "a", mode="auto", views=1, epochs=3))
    busy = Case(tmp_path, mode="auto", views=1, epochs=3)
    next(iter(busy.used.train.epoch(0)))
    other = Case(tmp_path, mode="auto", views=1, epochs=3)
    assert equal(numbers(other), first)
    assert other.pictures.read == 22
    busy.used.close()


@pytest.mark.slow
def test_two_processes_share_what_each_computed(tmp_path):
    """Views for every epoch are the uncached run bit for bit; one view comes back from both."""
    helpers = Path(__file__).resolve().parents[2] / "helpers"
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(helpers / "rankprefix.py"), str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(helpers)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found = [json.loads((tmp_path / f"rank-{rank}.json").read_text()) for rank in (0, 1)]
    for one in found:
        assert one["used"]
        assert "train on disk (2 views" in one["line"]
        assert one["uncut"] == one["fresh"] == one["kept"] == one["again"]
        assert one["reads"] == [11, 22, 16]  # its share; two epochs of it; a batch of each view
        assert one["same rows"]
        assert "several processes share them" in one["ram"]
    assert found[0]["kept"] == found[1]["kept"]


SMALL = 12_000  # bytes: 9 outputs of 1 kB fit, 22 do not


def test_what_does_not_fit_is_computed_and_said(tmp_path):
    case = Case(tmp_path, mode="ram", views=1, epochs=3, size=SMALL)
    assert "train computed (1 view, each time anew for 3 epochs, then random" in case.used.line
    assert "; val in memory" in case.used.line
    assert "do not fit" in " ".join(case.used.notes)
    assert case.used.train.kept == 0


def test_a_size_is_for_all_that_a_run_keeps(tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.engine.prefix.use.easy_budget", lambda _root: 10_000)
    wish = {"mode": "auto", "views": 1, "epochs": 3}  # 9 outputs on the disk, 22 in memory
    assert Case(tmp_path, size=32_000, **wish).used.train.kept == 1
    case = Case(tmp_path, size=31_000, **wish)
    assert (case.used.train.kept, case.used.val.kept) == (0, 1)


def test_a_run_leaves_its_own_entries_and_those_of_others_where_they_are(tmp_path):
    wish = {"mode": "disk", "views": 2, "epochs": 3}
    numbers(Case(tmp_path, **wish, freeze="stem"))
    size = (2 * 22 + 9) * 1024
    for read in (44, 16, 16):  # a later run reads a batch of each view, to be sure
        case = Case(tmp_path, **wish, size=size)
        numbers(case)
        assert case.pictures.read == read
    other = Case(tmp_path, **wish, freeze="stem")
    numbers(other)
    assert other.pictures.read == 16


def test_automatic_views_that_do_not_fit_are_fresh(tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.engine.prefix.use.auto_views", lambda *_a, **_k: 1)
    case = Case(tmp_path, mode="ram", views=None, epochs=3, size=SMALL)
    assert "train computed for fresh views; val in memory" in case.used.line
    assert equal(numbers(case), numbers(Case(tmp_path, epochs=3)))


@pytest.mark.parametrize("views", [1, 2])
@pytest.mark.parametrize("wish", [{}, {"freeze": "backbone"}, {"dtype": "bf16"}, {"crop": 1.0}])
def test_no_number_depends_on_whether_views_can_be_kept(tmp_path, wish, views):
    wish = {"views": views, "epochs": 4, **wish}
    kept = numbers(Case(tmp_path / "ram", mode="ram", **wish))
    lacking = Case(tmp_path, mode="ram", size=1_000, **wish)
    assert equal(numbers(lacking), kept)
    busy = Case(tmp_path, mode="disk", **wish)
    next(iter(busy.used.train.epoch(0)))
    other = Case(tmp_path, mode="disk", **wish)
    assert equal(numbers(other), kept)
    assert "another run uses" in " ".join(other.used.train.notes)
    busy.used.close()


def test_a_head_sees_parts_of_the_map_that_it_pools_where_that_is_asked_for(tmp_path, monkeypatch):
    wish = {"mode": "ram", "views": 2, "epochs": 6, "freeze": "backbone"}
    whole = Case(tmp_path, **wish)
    assert "cut before drop: 32 float32; train in memory (2 views" in whole.used.line
    assert "random parts" not in whole.used.line
    with pytest.raises(UsageError, match="takes no part"):  # a map of 2 x 2 has none
        Case(tmp_path, **wish, crop=0.5)
    monkeypatch.setattr("zoo.engine.prefix.use.HEAD_SIDE", 2)
    with pytest.raises(UsageError, match="takes no part"):  # maps do not fit
        Case(tmp_path, **wish, crop=0.5, size=12_000)
    case = Case(tmp_path, **wish, crop=0.5)
    assert "cut after two: 32x2x2 float32; train in memory (2 views, 22 kB" in case.used.line
    assert "then random parts of 1x1 to 2x2" in case.used.line
    shapes = [tuple(b.images.shape[1:]) for e in (0, 1, 2, 3) for b in case.used.train.epoch(e)]
    batches = len(shapes) // 4
    assert set(shapes[: 2 * batches]) == {(32, 2, 2)}
    assert set(shapes[2 * batches :]) == {(32, 1, 1), (32, 2, 2)}
    assert "cut before drop" in Case(tmp_path, **wish, crop=1.0).used.line
    fresh = numbers(Case(tmp_path, **(wish | {"views": 0})))
    parts = numbers(Case(tmp_path, **wish, crop=0.5))
    assert parts[1][0][0] == pytest.approx(fresh[1][0][0], rel=1e-5)  # the first epochs are whole


@pytest.mark.parametrize("views", [2, None])
def test_a_run_that_goes_on_is_shown_what_it_was_shown(tmp_path, monkeypatch, views):
    """Whether maps of a head fit, or what ``auto`` shows, may be otherwise by then."""
    monkeypatch.setattr("zoo.engine.prefix.use.HEAD_SIDE", 2)
    monkeypatch.setattr("zoo.engine.prefix.use.auto_views", lambda *_a, **_k: 2)
    wish = {"mode": "ram", "views": views, "epochs": 6, "freeze": "backbone"}
    parts, whole = Case(tmp_path, **wish, crop=0.5), Case(tmp_path, **wish)
    assert parts.used.views.parts
    assert not whole.used.views.parts
    later = Case(tmp_path, **wish, size=1_000, begun=parts.used.views)
    assert equal(numbers(later), numbers(parts))
    freed = Case(tmp_path, **wish, begun=whole.used.views)
    assert equal(numbers(freed), numbers(whole))
    assert not equal(numbers(parts), numbers(whole))
