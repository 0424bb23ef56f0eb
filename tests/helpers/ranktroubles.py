"""What happens on each of two ranks when one of them alone cannot go on."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from tinyrun import TinyLoader, TinyRun

from zoo.engine.processes.deal import require_same_images
from zoo.engine.reports import SavedReport
from zoo.engine.saving.checkpoint import list_states
from zoo.errors import DataError, DeviceError, UsageError, ZooError


@dataclass
class Torn(TinyLoader):
    """A loader of which one rank cannot read one batch."""

    at: tuple[int, int] = (0, 0)

    def epoch(self, epoch: int, start_batch: int = 0):
        for number, batch in enumerate(super().epoch(epoch, start_batch), start_batch):
            if (self.rank, number) == self.at:
                raise DataError(f"image of rank {self.rank} is torn")
            yield batch


def ended(run: TinyRun, *, spoil: bool = False) -> dict:
    """How a run ended here.

    Args:
        run: The run.
        spoil: Put a file where unfinished states would lie, after the first save.
    """
    try:
        for report in run.go():
            if spoil and isinstance(report, SavedReport):
                shutil.rmtree(run.folder / ".staging")
                (run.folder / ".staging").write_text("in the way")
    except ZooError as error:
        saved = [step for step, _ in list_states(run.folder)]
        return {
            "kind": type(error).__name__,
            "said": error.message,
            "everywhere": error.everywhere,
            "step": run.live.position.step,
            "saved": saved[:1],
        }
    return {}


def troubles(world, folder: Path) -> dict:
    """Runs of which one rank cannot read, reads nonsense, or cannot write."""
    ranks = {"rank": world.rank, "world": world.size}
    shared = {"accumulate": 1, "mixup": False, "world": world}
    unread = TinyRun(folder / "unread", loader=Torn(at=(1, 1), **ranks), **shared)
    unseen = TinyRun(folder / "unseen", **shared)
    unseen.val = Torn(at=(1, 0), count=10, seed=1, train=False, **ranks)
    broken = TinyRun(folder / "broken", loader=TinyLoader(poison=(3,), **ranks), **shared)
    unkept = TinyRun(folder / "unkept", save_steps=1, epochs=9, **shared)
    return {
        "unread": ended(unread),
        "unseen": ended(unseen),
        "broken": ended(broken),
        "unkept": ended(unkept, spoil=True),
        "start": start_errors(world),
    }


def start_errors(world) -> list:
    """An error of one rank in a block, then one of what rank 0 does for all."""
    found: list = []

    def refuse() -> None:
        raise UsageError("rank 0 says no")

    def fail(rank: int) -> None:
        with world.together():
            if world.rank == rank:
                raise DeviceError(f"rank {rank} has no device")

    tries = (
        lambda: fail(0),
        lambda: fail(1),
        lambda: world.lead(refuse),
        lambda: require_same_images(f"data of {world.rank}", world),
    )
    for act in tries:
        try:
            act()
        except ZooError as error:
            found.append([error.message, error.everywhere])
    require_same_images("the same", world)
    return [*found, world.lead(lambda: f"from rank {world.rank}")]
