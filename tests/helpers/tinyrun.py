"""A small real run for tests: a conv net with batch norm and dropout on generated images.

The loader keeps the loop's contract: order is a function of (seed, epoch), augmentation one of
(seed, epoch, index), so ``epoch(e, start_batch)`` needs no replay.
"""

from __future__ import annotations

from contextlib import closing, nullcontext
from dataclasses import dataclass, field
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from zoo.core.metadata import CheckpointInfo
from zoo.engine.ema import Ema
from zoo.engine.feed import Feed
from zoo.engine.loop import fit
from zoo.engine.place import Place, derive, seed_all
from zoo.engine.processes.distributed import ALONE, World
from zoo.engine.rules import Rules
from zoo.engine.saving.keeper import Keeper
from zoo.engine.saving.live import Live
from zoo.engine.saving.rundir import RunFolder
from zoo.engine.schedule import Schedule

CPU = Place(device=torch.device("cpu"))


@dataclass
class Batch:
    images: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor


class Keys:
    def __init__(self, count: int) -> None:
        self.keys = [f"image-{index:03d}.png" for index in range(count)]


@dataclass
class TinyLoader:
    count: int = 22
    batch_size: int = 4
    classes: int = 3
    seed: int = 0
    train: bool = True
    rank: int = 0
    world: int = 1
    poison: tuple[int, ...] = ()
    handed: list[tuple[int, int]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.images = Keys(self.count)
        generator = torch.Generator().manual_seed(derive(self.seed, 99))
        self.labels = torch.randint(self.classes, (self.count,), generator=generator)
        noise = torch.randint(0, 90, (self.count, 3, 8, 8), generator=generator)
        self.pixels = (noise + 50 * self.labels[:, None, None, None]).to(torch.uint8)

    @property
    def batches_per_epoch(self) -> int:
        return -(-self.count // (self.batch_size * self.world))

    def epoch(self, epoch: int, start_batch: int = 0):
        order = torch.arange(self.count)
        if self.train:
            generator = torch.Generator().manual_seed(derive(self.seed, 7, epoch))
            order = torch.randperm(self.count, generator=generator)
        size = self.batch_size * self.world
        for number in range(start_batch, self.batches_per_epoch):
            indices = order[number * size : (number + 1) * size][self.rank :: self.world]
            self.handed.append((epoch, number))
            images = [self._image(epoch, int(index)) for index in indices]
            stacked = torch.stack(images) if images else self.pixels[:0]
            yield Batch(stacked, self.labels[indices], indices)

    def _image(self, epoch: int, index: int) -> torch.Tensor:
        image = self.pixels[index]
        if self.train:
            generator = torch.Generator().manual_seed(derive(self.seed, 8, epoch, index))
            if torch.rand((), generator=generator) < 0.5:
                image = image.flip(-1)
            image = image + torch.randint(0, 8, image.shape, generator=generator).to(torch.uint8)
        if index in self.poison:
            return torch.full(image.shape, float("nan"))
        return image


def tiny_model(seed: int = 0, classes: int = 3) -> nn.Module:
    seed_all(seed)
    return nn.Sequential(
        nn.Conv2d(3, 6, 3, padding=1),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Dropout(0.2),
        nn.AdaptiveAvgPool2d(2),
        nn.Flatten(),
        nn.Linear(24, classes),
    )


OPTIMIZERS = {
    "sgd": lambda params: torch.optim.SGD(params, lr=0.05, momentum=0.9, weight_decay=1e-3),
    "adam": lambda params: torch.optim.Adam(params, lr=0.01),
    "adamw": lambda params: torch.optim.AdamW(params, lr=0.01),
}


def mix(images: torch.Tensor, labels: torch.Tensor):
    """A mixup of its own: draws on torch's global generator."""
    share = float(torch.rand(()))
    other = torch.randperm(len(images))
    hot = functional.one_hot(labels, 3).float()
    return (
        images * share + images[other] * (1 - share),
        hot * share + hot[other] * (1 - share),
    )


@dataclass
class TinyRun:
    """One run in one folder; make it again to resume it in a fresh process's state."""

    folder: Path
    epochs: int = 2
    accumulate: int = 2
    optimizer: str = "sgd"
    ema: float | None = 0.9
    patience: int | None = None
    mixup: bool = True
    clip: float | None = None
    save_steps: int | None = None
    on_nan: str = "stop"
    loader: TinyLoader | None = None
    loss: object = functional.cross_entropy
    place: Place = CPU
    monitor: str = "loss"
    world: World = ALONE

    def __post_init__(self) -> None:
        ranks = {"rank": self.world.rank, "world": self.world.size}
        self.train = self.loader or TinyLoader(**ranks)
        self.val = TinyLoader(count=10, seed=1, train=False, **ranks)
        model = tiny_model()
        optimizer = OPTIMIZERS[self.optimizer](model.parameters())
        self.steps = self.epochs * -(-self.train.batches_per_epoch // self.accumulate)
        inner = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, max(1, self.steps - 2))
        self.live = Live(
            model=model,
            optimizer=optimizer,
            schedule=Schedule(optimizer, inner, warmup=2),
            ema=Ema(model, self.ema) if self.ema else None,
        )
        self.rules = Rules(
            epochs=self.epochs,
            seed=5,
            accumulate=self.accumulate,
            monitor=self.monitor,
            goal="min" if self.monitor == "loss" else "max",
            patience=self.patience,
            clip=self.clip,
            save_steps=self.save_steps,
            on_nan=self.on_nan,
        )

    def go(self, *, stop=None, **more):
        """Resume if there is something to resume, and train; yields the reports."""
        with self._opened() as folder:
            keeper = Keeper(folder, CheckpointInfo(model="tiny"), world=self.world)
            self.found = keeper.resume(self.live)
            transforms = (mix,) if self.mixup else ()
            reports = fit(
                self.live,
                self.rules,
                train=self.train,
                val=self.val,
                loss=self.loss,
                feed=Feed(self.place, None, transforms),
                place=self.place,
                keeper=keeper,
                stop=stop,
                world=self.world,
                **more,
            )
            with closing(reports):
                for report in reports:
                    if folder is not None and hasattr(report, "row"):
                        folder.record(report.row())
                    yield report

    def _opened(self):
        if not self.world.main:
            return nullcontext(None)
        if (self.folder / "checkpoints").is_dir():
            return RunFolder.open(self.folder)
        made = RunFolder.create(self.folder.parent, name=self.folder.name)
        made.write_text("recipe.toml", "")
        return made


def fingerprint(live: Live) -> dict[str, bytes]:
    """Every bit of a live state."""
    tensors, skeleton = live.capture()
    bits = {name: value.clone().numpy().tobytes() for name, value in tensors.items()}
    bits["skeleton"] = repr(skeleton).encode()
    return bits
