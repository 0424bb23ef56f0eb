"""What a save costs: resnet18 with momentum, against torch.save, save_file and a training step.

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
from zoo.engine.saving.live import Live
from zoo.engine.saving.moment import Moment
from zoo.engine.schedule import Schedule


def median(work, times: int = 9) -> float:
    taken = []
    for _ in range(times):
        start = time.perf_counter()
        work()
        taken.append(1000 * (time.perf_counter() - start))
    return statistics.median(taken)


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
        tensors, _ = live.capture()
        rows = {
            "torch.save": median(lambda: torch.save(tensors, path)),
            "save_file": median(lambda: save_file(tensors, path)),
            "ours: one file, digest, fsync": median(
                lambda: save_state(path, Moment.of(live), CheckpointInfo())
            ),
            "ours: read and verify": median(lambda: read_state(path)),
        }
        print(f"{path.stat().st_size / 1e6:.1f} MB; a step of 32 images takes {one:.0f} ms")
    for name, taken in rows.items():
        print(f"{name:32} {taken:7.1f} ms   {taken / one:6.3f} steps")
    return 0


if __name__ == "__main__":
    sys.exit(main())
