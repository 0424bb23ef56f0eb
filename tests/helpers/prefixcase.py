"""A small model, its images and its run with the prefix cache; for the tests of that room."""

from __future__ import annotations

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
from zoo.engine.prefix.setting import CacheWish
from zoo.engine.prefix.use import use_prefix
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


class Twelve:
    """Cuts a random part of 12 pixels out, as training on smaller images does."""

    def __call__(self, image):
        top, left = torch.randint(0, 5, (2,)).tolist()
        return image[:, top : top + 12, left : left + 12]


class Keep:
    deterministic = True

    def __call__(self, image):
        return image


class Case:
    def __init__(
        self, tmp_path, *, transform=None, freeze="one", place=CPU, epochs=2, world=ALONE,
        seen=None, model=None, lasting=True, **wish,
    ):  # fmt: skip
        torch.manual_seed(0)
        self.pictures = Pictures(22)
        self.model = model or Small()
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
            seen=seen,
            train=train,
            val=val,
            feed=feed,
            place=place,
            wish=CacheWish(**{"mode": "off", **wish}),
            epochs=epochs,
            root=tmp_path / "prefix",
            identity={"train": "t", "val": "v"},
            lasting=lasting,
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
