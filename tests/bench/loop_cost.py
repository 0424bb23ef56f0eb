"""What the visible loop costs beside a bare one: a small MLP, 28x28, microseconds of CPU a step.

python tests/bench/loop_cost.py
"""

from __future__ import annotations

import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn
from torch.nn import functional

from zoo.core.metadata import CheckpointInfo
from zoo.engine.feed import Feed
from zoo.engine.loop import fit
from zoo.engine.place import Place
from zoo.engine.reports import StepReport
from zoo.engine.rules import Rules
from zoo.engine.saving.keeper import Keeper
from zoo.engine.saving.live import Live
from zoo.engine.saving.rundir import RunFolder
from zoo.engine.schedule import Schedule

CPU = Place(device=torch.device("cpu"))
STEPS, BATCH = 400, 64


@dataclass
class Batch:
    images: torch.Tensor
    labels: torch.Tensor
    indices: torch.Tensor


class InMemory:
    batches_per_epoch = STEPS

    def __init__(self) -> None:
        self.images = torch.randint(0, 256, (BATCH * 8, 1, 28, 28), dtype=torch.uint8)
        self.labels = torch.randint(0, 10, (BATCH * 8,))
        self.rows = torch.arange(BATCH * 8).split(BATCH)

    def epoch(self, epoch: int, start: int = 0):
        for number in range(start, STEPS):
            rows = self.rows[number % 8]
            yield Batch(self.images[rows], self.labels[rows], rows)


def parts():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
    return model, torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def bare() -> float:
    model, optimizer = parts()
    start = time.process_time()
    for batch in InMemory().epoch(0):
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(batch.images.float() / 255), batch.labels)
        loss.backward()
        optimizer.step()
        loss.item()
    return 1e6 * (time.process_time() - start) / STEPS


def ours(*, written: bool) -> float:
    model, optimizer = parts()
    live = Live(model=model, optimizer=optimizer, schedule=Schedule(optimizer))
    with tempfile.TemporaryDirectory() as place, RunFolder.create(Path(place)) as folder:
        start = time.process_time()
        reports = fit(
            live, Rules(epochs=1, monitor="loss", goal="min"), train=InMemory(),
            loss=functional.cross_entropy, feed=Feed(CPU), place=CPU,
            keeper=Keeper(folder, CheckpointInfo()) if written else None,
        )  # fmt: skip
        for report in reports:
            if written and isinstance(report, StepReport):
                folder.record(report.row())
        return 1e6 * (time.process_time() - start) / STEPS


def main() -> int:
    torch.set_num_threads(1)
    bare(), ours(written=False)
    rows = {"bare": [], "ours": [], "ours, written down": []}
    for _ in range(7):
        rows["bare"].append(bare())
        rows["ours"].append(ours(written=False))
        rows["ours, written down"].append(ours(written=True))
    base = min(rows["bare"])
    for name, taken in rows.items():
        print(f"{name:20} {min(taken):7.0f} us a step   {min(taken) / base:5.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
