from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy

from zoo.core.recipe import FreezePart
from zoo.core.specs import InputSpec, ModelSpec
from zoo.data.images import ImageSet, ItemReader
from zoo.data.loaders import make_loader
from zoo.engine.ema import Ema
from zoo.engine.feed import Feed
from zoo.engine.freezing.freeze import plan_freeze
from zoo.engine.freezing.frozen import Frozen
from zoo.engine.loop import fit
from zoo.engine.place import Place
from zoo.engine.prefix.use import CacheWish, use_prefix
from zoo.engine.processes.distributed import ALONE
from zoo.engine.reports import EpochReport
from zoo.engine.rules import Rules
from zoo.engine.saving.live import Live
from zoo.engine.schedule import Schedule

STAGES = (("stem", ("stem",)), ("one", ("one",)), ("two", ("two",)))
SPEC = ModelSpec(name="small", target="a:b", head="fc", stages=STAGES)
SHOWN = InputSpec(size=(3, 16, 16), mean=(0.4, 0.5, 0.6), std=(0.2, 0.2, 0.2))
CPU = Place(device=torch.device("cpu"))


def conv(width, out, stride):
    return nn.Sequential(
        nn.Conv2d(width, out, 3, stride, 1, bias=False), nn.BatchNorm2d(out), nn.ReLU(inplace=True)
    )


class Small(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = conv(3, 8, 2)
        self.one, self.two = nn.Sequential(conv(8, 16, 2), conv(16, 16, 1)), conv(16, 32, 2)
        self.drop, self.fc = nn.Dropout(0.2), nn.Linear(32, 3)

    def forward(self, x):
        return self.fc(self.drop(self.two(self.one(self.stem(x))).mean((2, 3))))


class Pictures:
    def __init__(self, count):
        generator = torch.Generator().manual_seed(count)
        self.pixels = torch.randint(0, 256, (count, 3, 16, 16), generator=generator).byte()
        self.read = 0

    def __getitem__(self, row):
        self.read += 1
        return self.pixels[row], row % 3

    def __len__(self):
        return len(self.pixels)


class Flip:
    """Random, as a training transform is."""

    def __call__(self, image):
        return image.flip(2) if torch.rand(()) < 0.5 else image


class Keep:
    deterministic = True

    def __call__(self, image):
        return image


class Case:
    def __init__(
        self, tmp_path, *, transform=None, freeze="one", place=CPU, epochs=2, world=ALONE, **wish
    ):
        torch.manual_seed(0)
        self.pictures = Pictures(22)
        self.model = Small()
        plan = plan_freeze(self.model, SPEC, FreezePart(upto=freeze), SHOWN)
        self.frozen = Frozen(self.model, plan)
        self.place, self.epochs, self.world = place, epochs, world
        shared = {"batch_size": 8, "seed": 5, "rank": world.rank, "world": world.size}
        train = make_loader(self.images(self.pictures), transform or Flip(), **shared, train=True)
        val = make_loader(self.images(Pictures(9)), Keep(), **shared, train=False)
        feed = Feed(place, SHOWN)
        self.used = use_prefix(
            self.model,
            plan,
            SHOWN,
            train=train,
            val=val,
            feed=feed,
            place=place,
            wish=CacheWish(**{"mode": "off", **wish}),
            epochs=epochs,
            root=tmp_path / "prefix",
            identity={"train": "t", "val": "v"},
            world=world,
        )

    @staticmethod
    def images(pictures):
        keys = [str(i) for i in range(len(pictures))]
        labels = [i % 3 for i in range(len(pictures))]
        return ImageSet("toy", ("a", "b", "c"), labels, keys, ItemReader(pictures))

    def live(self):
        trained = [p for p in self.model.parameters() if p.requires_grad]
        optimizer = torch.optim.SGD(trained, lr=0.05, momentum=0.9)
        return Live(
            model=self.model,
            optimizer=optimizer,
            schedule=Schedule(optimizer),
            ema=Ema(self.model, 0.9),
        )

    def go(self, live=None, stop_after=None):
        self.at = live or self.live()
        reports = fit(
            self.at,
            Rules(epochs=self.epochs, seed=5),
            train=self.used.train,
            val=self.used.val,
            loss=cross_entropy,
            feed=self.used.feed,
            place=self.place,
            world=self.world,
            hold=self.frozen.hold,
            thaw=self.frozen.thaw,
            cut=self.used.cut,
        )
        found = []
        for report in reports:
            found.append(report)
            if stop_after and len(found) == stop_after:
                break
        self.used.close()
        return [r for r in found if isinstance(r, EpochReport)]


def numbers(case):
    reports = case.go()
    state = {f"m.{k}": v for k, v in case.model.state_dict().items()}
    state |= {f"e.{k}": v for k, v in case.at.ema.module.state_dict().items()}
    return state, [(r.loss, r.val.loss, r.val.top1) for r in reports]


def equal(one, other):
    return one[1] == other[1] and all(torch.equal(v, other[0][k]) for k, v in one[0].items())


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
    case = Case(tmp_path, mode=mode, views=1, epochs=4)
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
        ({"mode": "off"}, ""),
        ({"place": Place(device=torch.device("cpu"), compile=True)}, "steps are compiled"),
    ],
)
def test_what_is_not_cut_runs_as_before(tmp_path, change, why):
    case = Case(tmp_path, **{"mode": "auto", **change})
    assert not case.used.used
    assert why in case.used.line
    assert case.used.cut(case.model) is case.model


def test_auto_chooses_the_views_and_says_which_flag_changes_that(tmp_path, monkeypatch):
    few = Case(tmp_path, mode="ram", views=None, epochs=5)
    assert "train computed for fresh views" in few.used.line
    monkeypatch.setattr("zoo.engine.prefix.choice.FEW", 20)
    case = Case(tmp_path, mode="ram", views=None, epochs=6)
    assert "train in memory (3 views, " in case.used.line
    assert "for 6 epochs; --views fresh draws anew each epoch" in case.used.line
    head = Case(tmp_path, mode="ram", views=None, epochs=6, freeze="backbone")
    assert "train in memory (1 view, " in head.used.line


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
    paths = os.pathsep.join([str(helpers), str(Path(__file__).parent)])
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone"]
    command += ["--nproc-per-node", "2", str(helpers / "rankprefix.py"), str(tmp_path)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}
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


def test_what_does_not_fit_is_computed_and_said(tmp_path):
    case = Case(tmp_path, mode="ram", views=1, size=12_000)  # 9 outputs of 1 kB fit, 22 do not
    assert "train computed for fresh views; val in memory" in case.used.line
    assert "do not fit" in " ".join(case.used.notes)
    uncut = numbers(Case(tmp_path))
    assert equal(numbers(case), uncut)
