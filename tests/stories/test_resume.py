"""A run that is stopped at any step and resumed is the run that was not stopped, bit for bit.

Twelve optimizer steps with everything that usually breaks this: shuffling, augmentation that
draws on three random generators, mixup, dropout, batch norm, momentum, Adam, a partial last
accumulation window, averaged weights, warm-up, a cosine, early stopping, loader processes.
"""

from __future__ import annotations

import json
import random
import shutil
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from tinyrun import TinyRun, fingerprint

from zoo.core.metadata import WEIGHTS_FILE
from zoo.core.recipe import FreezePart
from zoo.core.specs import InputSpec
from zoo.data.images import ImageSet
from zoo.data.loaders import make_loader
from zoo.engine.freezing.freeze import plan_freeze
from zoo.engine.freezing.frozen import Frozen
from zoo.engine.reports import EpochReport
from zoo.engine.saving.checkpoint import list_states, state_path
from zoo.engine.saving.keeper import Keeper

STEPS = 12
CLASSES = ("circle", "square", "star")


@dataclass(frozen=True)
class Painter:
    """Paints images when they are asked for, so that loader processes have work."""

    seed: int

    def read(self, row: int) -> torch.Tensor:
        generator = torch.Generator().manual_seed(1000 * self.seed + row)
        image = torch.randint(0, 60, (3, 10, 10), generator=generator)
        image[row % 3] += 120
        return image.to(torch.uint8)

    def whole(self) -> None:
        return None


def shake(image: torch.Tensor) -> torch.Tensor:
    """Augment, drawing on every generator that a third-party transform may draw on."""
    top, left = random.randrange(3), int(np.random.randint(3))
    if torch.rand(()) < 0.5:
        image = image.flip(-1)
    return image[:, top : top + 8, left : left + 8]


def centre(image: torch.Tensor) -> torch.Tensor:
    return image[:, 1:9, 1:9]


centre.deterministic = True


def images(count: int, seed: int) -> ImageSet:
    return ImageSet(
        name=f"painted-{seed}",
        classes=CLASSES,
        labels=[row % 3 for row in range(count)],
        keys=[f"{row:03d}.png" for row in range(count)],
        reader=Painter(seed),
    )


def make(folder, *, workers=0, **more):
    """Twelve steps: four epochs of six micro-batches of 4, 4, 4, 4, 4, 2 in windows of two."""
    loader = make_loader(images(22, 0), shake, batch_size=4, workers=workers, seed=3)
    run = TinyRun(folder, epochs=4, loader=loader, **more)
    run.val = make_loader(images(9, 1), centre, batch_size=4, workers=0, seed=3, train=False)
    return run


def rows(folder):
    """The metrics without what the clock says."""
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [
        {k: v for k, v in r.items() if k not in ("images_per_second", "seconds")} for r in lines
    ]


@pytest.fixture(autouse=True)
def everything_is_kept(monkeypatch):
    """Keep each state, and let each run save after every step."""
    init = Keeper.__init__

    def keep_all(self, *args, **kwargs):
        init(self, *args, **{**kwargs, "keep": 99})

    monkeypatch.setattr(Keeper, "__init__", keep_all)


def whole_run(folder, **more):
    run = make(folder, save_steps=1, **more)
    list(run.go())
    return run


def killed_after(step, whole, folder):
    """The folder of a run that was killed right after the state of a step was saved."""
    (folder / "checkpoints").mkdir(parents=True)
    for number, path in list_states(whole):
        if number <= step:
            shutil.copy(path, state_path(folder, number))
    shutil.copy(whole / "metrics.jsonl", folder)
    shutil.copy(whole / WEIGHTS_FILE, folder)
    return folder


def check(whole, run):
    assert run.found.state is not None
    assert fingerprint(run.live) == fingerprint(whole.live)
    assert rows(run.folder) == rows(whole.folder)
    assert (run.folder / WEIGHTS_FILE).read_bytes() == (whole.folder / WEIGHTS_FILE).read_bytes()


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_every_stop_point_resumes_bit_for_bit(tmp_path, optimizer):
    whole = whole_run(tmp_path / "whole", optimizer=optimizer, clip=1.0)
    assert whole.live.position.step == STEPS
    assert len(list_states(whole.folder)) == STEPS
    for step in range(1, STEPS + 1):
        folder = killed_after(step, whole.folder, tmp_path / f"from-{step}")
        run = make(folder, optimizer=optimizer, clip=1.0)
        list(run.go())
        assert run.found.state.step == step
        check(whole, run)


@pytest.mark.slow
@pytest.mark.parametrize("step", [1, 4, 8])
def test_other_loader_processes_change_nothing(tmp_path, step):
    whole = whole_run(tmp_path / "whole", workers=0)
    for workers in (0, 2):
        folder = killed_after(step, whole.folder, tmp_path / f"with-{workers}")
        run = make(folder, workers=workers)
        list(run.go())
        check(whole, run)


def test_the_batches_before_the_stop_are_not_loaded_again(tmp_path):
    whole = whole_run(tmp_path / "whole")
    run = make(killed_after(5, whole.folder, tmp_path / "resumed"))
    asked = []
    epoch = run.train.epoch
    run.train.epoch = lambda number, start=0: asked.append((number, start)) or epoch(number, start)
    list(run.go())
    assert asked == [(1, 4), (2, 0), (3, 0)]


def test_early_stopping_is_remembered(tmp_path):
    whole = whole_run(tmp_path / "whole", patience=1, monitor="top1")
    last = whole.live.position.step
    assert last < STEPS
    for step in range(1, last + 1):
        folder = killed_after(step, whole.folder, tmp_path / f"from-{step}")
        run = make(folder, patience=1, monitor="top1")
        list(run.go())
        check(whole, run)


def test_a_damaged_newest_state_costs_a_step_and_nothing_else(tmp_path):
    whole = whole_run(tmp_path / "whole")
    folder = killed_after(7, whole.folder, tmp_path / "resumed")
    raw = bytearray(state_path(folder, 7).read_bytes())
    raw[len(raw) * 2 // 3] ^= 16
    state_path(folder, 7).write_bytes(raw)
    run = make(folder)
    list(run.go())
    assert run.found.state.step == 6
    assert "step-00000007.safetensors is not usable" in run.found.notes()[0]
    check(whole, run)


def test_without_one_good_state_it_begins_again_and_arrives_at_the_same(tmp_path):
    whole = whole_run(tmp_path / "whole")
    folder = killed_after(2, whole.folder, tmp_path / "resumed")
    for _, path in list_states(folder):
        path.write_bytes(b"")
    run = make(folder)
    list(run.go())
    assert run.found.state is None
    assert len(run.found.rejected) == 2
    assert fingerprint(run.live) == fingerprint(whole.live)
    assert rows(run.folder) == rows(whole.folder)


def test_stopping_again_and_again_arrives_at_the_same(tmp_path):
    whole = whole_run(tmp_path / "whole")
    for _ in range(STEPS):
        run = make(tmp_path / "again", save_steps=1)
        for report in run.go():
            if type(report).__name__ == "SavedReport":
                break
    for _ in range(3):
        run = make(tmp_path / "again", save_steps=1)
        list(run.go())
    check(whole, run)


def frozen(run):
    """What ``--freeze-upto 1 --unfreeze-at 1:1 --unfreeze-at 3:0`` gives the loop."""
    part = FreezePart(upto="1", unfreeze_at=("1:1", "3:0"), allow_random_frozen=True)
    shown = InputSpec(size=(3, 8, 8))
    held = Frozen(run.live.model, plan_freeze(run.live.model, None, part, shown))
    return {"hold": held.hold, "thaw": held.thaw}


@pytest.mark.parametrize(
    "more",
    [
        {"optimizer": "sgd"},
        {"optimizer": "adam", "ema": None},
        {"optimizer": "adamw", "accumulate": 3, "mixup": False},
    ],
    ids=lambda more: more["optimizer"],
)
def test_gradual_unfreezing_goes_on_in_the_phase_it_was_in(tmp_path, more):
    whole = make(tmp_path / "whole", save_steps=1, **more)
    start = {n: p.clone() for n, p in whole.live.model.named_parameters()}
    moved = []
    for report in whole.go(**frozen(whole)):
        if isinstance(report, EpochReport):
            now = dict(whole.live.model.named_parameters())
            moved.append([n for n in ("0.weight", "1.weight") if not torch.equal(now[n], start[n])])
    assert moved == [[], ["1.weight"], ["1.weight"], ["0.weight", "1.weight"]]
    for step in range(1, whole.live.position.step + 1):
        folder = killed_after(step, whole.folder, tmp_path / f"from-{step}")
        run = make(folder, **more)
        list(run.go(**frozen(run)))
        check(whole, run)
