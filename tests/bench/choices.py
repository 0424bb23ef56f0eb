"""Whether ``auto`` chooses well: fp32 and bf16, NCHW and NHWC, one thread and all, side by side.

For each model, size and batch, whole training steps; blocks are interleaved, the median of each is
printed in milliseconds by the clock, what ``auto`` chooses is marked, and how far it is from the
fastest. bf16 is left out where the processor does not compute in it. Leave the machine alone while
it runs: several threads wait for the slowest.

python tests/bench/choices.py [--rounds 5] [--only resnet18 tutorials/mlp]
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from dataclasses import dataclass, replace

import tables
import torch
from torch import nn
from torch.nn import functional

import zoo
from zoo.core.recipe import DevicePart
from zoo.core.specs import InputSpec
from zoo.engine.cores import usable_cores
from zoo.engine.evaluate import main_output
from zoo.engine.place import Place, autocast, choose, computes_bf16
from zoo.engine.work import suited, work_of

JOBS = (
    ("tutorials/mlp", 28, 1, 4), ("tutorials/mlp", 28, 1, 64), ("tutorials/mlp", 28, 1, 256),
    ("tutorials/lenet", 32, 1, 4), ("tutorials/lenet", 32, 1, 64),
    ("resnet18", 32, 3, 32), ("resnet18", 64, 3, 32), ("resnet18", 224, 3, 8),
    ("mobilenet_v3_small", 64, 3, 32), ("mobilenet_v3_small", 224, 3, 8),
    ("shufflenet_v2_x0_5", 64, 3, 32), ("efficientnet_b0", 160, 3, 8),
    ("convnext_tiny", 160, 3, 4), ("resnext50_32x4d", 128, 3, 8), ("vit_b_16", 224, 3, 2),
)  # fmt: skip


@dataclass
class Way:
    """One way to take steps, with the model laid out for it."""

    place: Place
    model: nn.Module
    images: torch.Tensor
    labels: torch.Tensor

    def __post_init__(self) -> None:
        if self.place.channels_last:
            self.model = self.model.to(memory_format=torch.channels_last)
            self.images = self.images.contiguous(memory_format=torch.channels_last)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=1e-4, momentum=0.9)

    def seconds(self, steps: int) -> float:
        """Seconds a step."""
        torch.set_num_threads(self.place.threads)
        self._step()
        start = time.monotonic()
        for _ in range(steps):
            self._step()
        return (time.monotonic() - start) / steps

    def _step(self) -> None:
        with autocast(self.place):
            outputs = main_output(self.model(self.images))
        functional.cross_entropy(outputs.float(), self.labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad()


def places(model: nn.Module, shown: InputSpec, batch: int, cores: int) -> tuple[Place, list[Place]]:
    """What ``auto`` chooses, and everything that it chooses from."""
    part = DevicePart(device="cpu", threads=None)
    chosen = suited(replace(choose(part), threads=cores), part, work_of(model, shown), batch)
    chosen = replace(chosen, why=())
    convolutional = any(isinstance(m, nn.Conv2d) for m in model.modules())
    kinds = ("fp32", "bf16") if computes_bf16(chosen.device) else ("fp32",)
    rest = [
        Place(device=chosen.device, precision=precision, channels_last=nhwc, threads=threads)
        for precision in kinds
        for nhwc in ((False, True) if convolutional else (False,))
        for threads in sorted({1, cores})
    ]
    return chosen, rest


def measure(name: str, shown: InputSpec, batch: int, rounds: int, cores: int) -> list[list[str]]:
    """Rows of the table for one job."""
    model = zoo.create_model(name, classes=10).train()
    images, labels = torch.randn(batch, *shown.size), torch.randint(0, 10, (batch,))
    chosen, every = places(model, shown, batch, cores)
    ways = {place: Way(place, copy.deepcopy(model), images, labels) for place in every}
    quick = {place: way.seconds(1) for place, way in ways.items()}
    steps = max(1, round(0.2 / min(quick.values())))
    taken: dict[Place, list[float]] = {place: [] for place in every}
    for _ in range(rounds):
        for place, way in ways.items():
            taken[place].append(way.seconds(steps))
    middle = {place: statistics.median(values) for place, values in taken.items()}
    best = min(middle.values())
    title = f"{name}, {shown.size[1]} px, batch {batch}"
    return [
        [f"{title}: {place.line().removeprefix('cpu, ')}{' (auto)' if place == chosen else ''}",
         f"{1000 * seconds:.2f}", f"{seconds / best:.2f}"]
        for place, seconds in middle.items()
    ]  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=[], metavar="MODEL")
    given = parser.parse_args(argv)
    cores = usable_cores()
    rows: list[list[str]] = []
    for name, size, channels, batch in JOBS:
        if not given.only or name in given.only:
            shown = InputSpec(size=(channels, size, size))
            rows += measure(name, shown, batch, given.rounds, cores)
    sys.stdout.write(f"{tables.machine_line(tables.machine())}.\n\n")
    sys.stdout.write(tables.markdown(("a step", "ms", "of the fastest"), rows) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
