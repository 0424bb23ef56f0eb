"""What a save costs: resnet18 with momentum, against torch.save, save_file and a training step.

The first table is the writing alone. The second is what training notices: a save that is waited
for (state and best weights, as at the end of an epoch), against the copy for which training stands
still, and against what the steps that run beside the writing lose. Both kinds of save are taken in
turn, so that a loaded machine slows both.

    python tests/bench/save_cost.py
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from safetensors.torch import save_file
from torchvision.models import resnet18

from zoo.core.metadata import CheckpointInfo
from zoo.engine.saving.checkpoint import read_state, save_state
from zoo.engine.saving.keeper import Keeper
from zoo.engine.saving.live import Live
from zoo.engine.saving.moment import Moment
from zoo.engine.saving.rundir import RunFolder
from zoo.engine.schedule import Schedule

ROUNDS = 9


def timed(work) -> float:
    start = time.perf_counter()
    work()
    return 1000 * (time.perf_counter() - start)


def median(work, times: int = ROUNDS) -> float:
    return statistics.median(timed(work) for _ in range(times))


def writing(live: Live, path: Path) -> dict[str, float]:
    """Milliseconds of writing one file, waited for."""
    tensors, _ = live.capture()
    return {
        "torch.save": median(lambda: torch.save(tensors, path)),
        "save_file": median(lambda: save_file(tensors, path)),
        "ours: one file, digest, fsync": median(
            lambda: save_state(path, Moment.of(live), CheckpointInfo())
        ),
        "ours: read and verify": median(lambda: read_state(path)),
    }


def noticed(live: Live, folder: RunFolder, step) -> dict[str, float]:
    """Milliseconds that training loses to a save of the state and the best weights."""
    keeper = Keeper(folder, CheckpointInfo())
    waited, held, whole, beside, alone = [], [], [], [], []
    keeper.save(live, reason="epoch", best={"loss": 1.0})
    for _ in range(ROUNDS):
        live.position.step += 1
        waited.append(timed(lambda: keeper.save(live, reason="epoch", best={"loss": 1.0})))
        alone.append(timed(step))
        live.position.step += 1
        held.append(timed(lambda: keeper.begin(live, reason="epoch", best={"loss": 1.0})))
        beside.append(timed(step))
        saved = keeper.collect(wait=True)
        whole.append(1000 * saved.seconds)
    lost = [max(0.0, b - a) for a, b in zip(alone, beside, strict=True)]
    return {
        "waited for, as it was before": statistics.median(waited),
        "training stands still": statistics.median(held),
        "  until it is on the disk": statistics.median(whole),
        "the step beside it takes longer by": statistics.median(lost),
    }


def main() -> int:
    torch.set_num_threads(1)
    model = resnet18()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    live = Live(model=model, optimizer=optimizer, schedule=Schedule(optimizer))
    images, labels = torch.randn(32, 3, 224, 224), torch.randint(1000, (32,))

    def step() -> None:
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(model(images), labels).backward()
        optimizer.step()

    one = median(step, 3)
    with tempfile.TemporaryDirectory() as place:
        path = Path(place, "state.safetensors")
        rows = writing(live, path)
        print(f"{path.stat().st_size / 1e6:.1f} MB; a step of 32 images takes {one:.0f} ms")
        path.unlink()
        with RunFolder.create(Path(place), name="run") as folder:
            rows |= noticed(live, folder, step)
    for name, taken in rows.items():
        print(f"{name:36} {taken:7.1f} ms   {taken / one:6.3f} steps")
    print(
        f"training stands still for 1/{rows['waited for, as it was before'] / rows['training stands still']:.0f} "
        "of the time of a save that is waited for"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
