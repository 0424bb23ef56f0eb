"""The same runs on two ranks with whole parameters (DDP) and with slices of them (FSDP2)."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import torch
from tinyrun import OPTIMIZERS, TinyLoader, TinyRun, tiny_model

from zoo.engine.ema import Ema
from zoo.engine.freezing.proof import digest
from zoo.engine.processes.sharded import local, shard, units
from zoo.engine.reports import EpochReport, StepReport
from zoo.engine.saving.checkpoint import list_states, read_state
from zoo.engine.saving.live import Live
from zoo.engine.schedule import Schedule

STAGES = (("body", ("0",)), ("norm", ("1",)), ("head", ("6",)))


def make(folder: Path, optimizer: str, world, *, sliced: bool, frozen: bool) -> TinyRun:
    """A run with EMA, accumulation and clipping, over ranks with uneven validation shards."""
    run = TinyRun(folder, accumulate=2, optimizer=optimizer, clip=0.5, world=world)
    run.val = TinyLoader(count=9, seed=1, train=False, rank=world.rank, world=world.size)
    model = tiny_model()
    model[0].requires_grad_(not frozen)
    ema = Ema(model, 0.9)
    if sliced:
        parts = units(model, STAGES, lambda: model.eval()(torch.zeros(2, 3, 8, 8)))
        for module in (model, ema.module):
            shard(module, parts, world)
    trained = [p for p in model.parameters() if p.requires_grad]
    made = OPTIMIZERS[optimizer](trained)
    inner = torch.optim.lr_scheduler.CosineAnnealingLR(made, max(1, run.steps - 2))
    schedule = Schedule(made, inner, warmup=2)
    run.live = Live(model=model, optimizer=made, schedule=schedule, ema=ema)
    return run


def follow(run: TinyRun, stop_after: int = 0) -> dict:
    """Train to the end, or stop after a step; what was seen."""
    seen: dict = {"val": [], "norms": []}
    for report in run.go():
        if isinstance(report, StepReport):
            seen["norms"].append(report.grad_norm)
            if report.step == stop_after:
                break
        elif isinstance(report, EpochReport):
            seen["val"].append(report.val.to_dict())
    head = run.live.model[6].weight
    seen["kind"], seen["mine"] = type(head).__name__, local(head.detach()).numel()
    seen["frozen"] = digest(run.live.model[0].weight)
    return seen


def far(one: dict, other: dict) -> float:
    """The largest difference of two states."""
    assert sorted(one) == sorted(other)
    return max(float((one[name].double() - other[name].double()).abs().max()) for name in one)


def slices(world, folder: Path) -> dict:
    """Whole against sliced, and from the files of the one on to the end with the other."""
    found: dict = {"start": digest(tiny_model()[0].weight)}
    for optimizer, frozen in (("sgd", False), ("adamw", True)):
        ends: dict = {}
        for name, kinds in (
            ("whole", (False,)),
            ("sliced", (True,)),
            ("whole-sliced", (False, True)),
            ("sliced-whole", (True, False)),
        ):
            place = folder / f"{optimizer}-{name}"
            for number, sliced in enumerate(kinds, 1):
                run = make(place, optimizer, world, sliced=sliced, frozen=frozen)
                run.rules = replace(run.rules, save_steps=2)
                seen = follow(run, stop_after=0 if number == len(kinds) else 2)
                world.barrier()
            ends[name] = run.live.capture()[0]
            written = read_state(list_states(place)[0][1]).tensors
            seen |= {
                "far": far(ends[name], ends["whole"]),
                "written": far(ends[name], written),
            }
            found[f"{optimizer}-{name}"] = seen
    return found
