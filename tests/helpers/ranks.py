"""What each of two processes does in the tests of several processes; run it with torchrun.

``python -m torch.distributed.run --standalone --nproc-per-node 2 ranks.py FOLDER`` writes
``FOLDER/rank-N.json`` with everything that the tests compare.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
from pathlib import Path

import torch
from rankslices import slices
from ranktroubles import troubles
from tinyrun import CPU, TinyLoader, TinyRun, fingerprint, tiny_model
from torch import nn
from torch.nn import functional

from zoo.builtin.losses import cross_entropy
from zoo.engine.evaluate import evaluate
from zoo.engine.feed import Feed
from zoo.engine.processes.distributed import from_environment, join
from zoo.engine.processes.signals import Stop
from zoo.engine.processes.wrapping import quietly, wrap
from zoo.engine.reports import StepReport
from zoo.engine.saving.keeper import Keeper
from zoo.engine.saving.live import Live
from zoo.engine.schedule import Schedule
from zoo.engine.step import Stepper
from zoo.errors import Interrupted

WEIGHTS = (1.0, 0.2, 7.0)
"""Of classes."""


def agree(world) -> dict:
    model = nn.BatchNorm1d(2)
    model.running_mean.fill_(world.rank)
    world.share_buffers(model)
    return {
        "world": [world.rank, world.size, world.local_rank, world.local_size, world.main],
        "sum": world.sum([world.rank + 1, 0.5]),
        "tensor": world.sum_tensor(torch.tensor([2**53 + 1, world.rank])).tolist(),
        "gather": world.gather(f"rank {world.rank}"),
        "share": world.share({"from": world.rank}),
        "buffer": model.running_mean.tolist(),
    }


def linear() -> Live:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    optimizer = torch.optim.SGD(model.parameters(), lr=1.0)
    return Live(model=model, optimizer=optimizer, schedule=Schedule(optimizer))


def gradients(world) -> dict:
    """One step over an uneven window of three micro-batches, and how often gradients travelled."""
    live = linear()
    loader = TinyLoader(count=21, batch_size=4, train=False, rank=world.rank, world=world.size)
    module = wrap(live.model, world, CPU)
    trips = [0]

    def count(state, bucket):
        trips[0] += 1
        from torch.distributed.algorithms.ddp_comm_hooks.default_hooks import allreduce_hook

        return allreduce_hook(state, bucket)

    module.register_comm_hook(None, count)
    stepper = Stepper(
        live, loss=functional.cross_entropy, feed=Feed(CPU), place=CPU, world=world, seed=0
    )
    outcome = stepper.step(module, list(loader.epoch(0)))
    return {
        "weight": live.model[1].weight.flatten().tolist(),
        "n": outcome.n,
        "loss": outcome.loss,
        "top1": outcome.top1,
        "trips": trips[0],
        "quiet": type(quietly(nn.Linear(1, 1), last=False)).__name__,
    }


def weighed(world) -> dict:
    """A step over the same window, and an evaluation, with class weights."""
    live, loss = linear(), cross_entropy(weight=WEIGHTS)
    loader = TinyLoader(count=21, batch_size=4, train=False, rank=world.rank, world=world.size)
    stepper = Stepper(live, loss=loss, feed=Feed(CPU), place=CPU, world=world, seed=0)
    stepper.step(wrap(live.model, world, CPU), list(loader.epoch(0)))
    found = evaluate(
        tiny_model(), loader.epoch(0), loss=loss, feed=Feed(CPU), place=CPU, world=world
    )
    return {"weight": live.model[1].weight.flatten().tolist(), "loss": found.loss}


def evaluation(world) -> dict:
    loader = TinyLoader(count=23, batch_size=3, train=False, rank=world.rank, world=world.size)
    found = evaluate(
        tiny_model(), loader.epoch(0), loss=functional.cross_entropy, feed=Feed(CPU), place=CPU,
        world=world, metrics={"seen": Seen()},
    )  # fmt: skip
    return {**found.to_dict(), "confusion": found.confusion.tolist()}


class Seen:
    def reset(self) -> None:
        self.n = 0

    def update(self, outputs, targets) -> None:
        self.n += len(targets)

    def compute(self) -> float:
        return float(self.n)


def digest(live: Live) -> str:
    whole = hashlib.sha256()
    for name, value in sorted(fingerprint(live).items()):
        whole.update(name.encode() + value)
    return whole.hexdigest()


def resumed(world, folder: Path) -> dict:
    """A whole run, and one that a signal to rank 1 alone stops and that is resumed."""
    whole = TinyRun(folder / "whole", epochs=2, world=world)
    list(whole.go())
    stop, code, after = Stop(), 0, 0
    first = TinyRun(folder / "stopped", epochs=2, world=world)
    try:
        with stop:
            for report in first.go(stop=stop):
                if isinstance(report, StepReport):
                    after = report.step
                    if report.step == 2 and world.rank == 1:
                        os.kill(os.getpid(), signal.SIGTERM)
    except Interrupted as error:
        code = error.code
    again = TinyRun(folder / "stopped", epochs=2, world=world)
    list(again.go())
    return {
        "whole": digest(whole.live),
        "resumed": digest(again.live),
        "code": code,
        "stopped_after": after,
        "params": hashlib.sha256(whole.live.model[0].weight.detach().numpy()).hexdigest(),
        "found": again.found.state is not None,
        "writes": Keeper(None, again.found.state.info).save(again.live, reason="x") is not None,
    }


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    world = from_environment()
    with join(world, torch.device("cpu")):
        found = {
            "agree": agree(world),
            "gradients": gradients(world),
            "weighed": weighed(world),
            "evaluation": evaluation(world),
            "resumed": resumed(world, folder),
            "troubles": troubles(world, folder),
            "slices": slices(world, folder),
        }
        world.barrier()
    (folder / f"rank-{world.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
