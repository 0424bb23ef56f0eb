"""What each of two processes does in the test of the prefix cache; run it with torchrun."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import torch
from prefixcase import Case, numbers

from zoo.engine.processes.distributed import from_environment, join


def told(found) -> list:
    state, reports = found
    return [reports, {k: v.double().sum().item() for k, v in state.items()}]


def same_rows(case: Case) -> bool:
    """Whether a later epoch gives what the prefix makes of the first epoch's pixels."""
    source, right = case.used.train, True
    list(source.epoch(0))
    pixels = {}
    for rank in (0, 1):
        loader = Case(Path(), world=type(case.world)(rank, 2, rank, 2)).used.train
        for batch in loader.epoch(0):
            pixels.update(zip(batch.indices.tolist(), batch.images, strict=True))
    order = source.loader.indices(4)
    for batch, wanted in zip(source.epoch(4), order, strict=True):
        expected = source.runner(torch.stack([pixels[i] for i in wanted.tolist()]))
        right &= batch.indices.tolist() == wanted.tolist()
        right &= torch.allclose(batch.images, expected, atol=1e-5)
    return right


def main() -> None:
    torch.set_num_threads(1)
    folder = Path(sys.argv[1])
    world = from_environment()
    with join(world, torch.device("cpu")):
        uncut = Case(folder, world=world)
        fresh = Case(folder, world=world, mode="ram")
        kept = Case(folder, world=world, mode="disk", views=2)
        found = {
            "uncut": told(numbers(uncut)),
            "fresh": told(numbers(fresh)),
            "kept": told(numbers(kept)),
            "line": kept.used.line,
            "used": kept.used.used,
        }
        again = Case(folder, world=world, mode="disk", views=2)
        found["again"] = told(numbers(again))
        one = Case(folder / "one", world=world, mode="disk", views=1, epochs=6, crop=1.0)
        found["same rows"] = same_rows(one)
        found["reads"] = [one.pictures.read, kept.pictures.read, again.pictures.read]
        one.used.close()
        ram = Case(folder, world=world, mode="ram", views=1, epochs=3)
        found["ram"] = " ".join(ram.used.notes)
        ram.used.close()
        world.barrier()
    (folder / f"rank-{world.rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    main()
