"""Real runs of a small network, from recipe to predictions, for scripts that kill them.

A plugin with the network and a folder of images are made in a place of their own; a run is the
conductor's, with everything that makes resuming hard. Each life of a run is a forked process.
"""

from __future__ import annotations

import json
import os
import random
import sys
import traceback
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

from zoo.core import registry

SHARED = {
    "data": "photos", "size": 16, "batch_size": 4, "threads": 1, "device": "cpu",
    "precision": "fp32", "seed": 3, "val_fraction": 0.25, "save_every": "2", "warmup": 1,
    "schedule": "cosine", "weights": "none",
}  # fmt: skip
RECIPES = {
    "sgd": {
        "epochs": 3, "optimizer": "sgd", "lr": 0.05, "momentum": 0.9, "batch_transform": "mixup",
        "accumulate": 2, "ema": 0.9, "clip": 1.0,
    },
    "adam": {
        "epochs": 6, "optimizer": "adam", "lr": 0.05, "batch_transform": "cutmix",
        "patience": 1, "monitor": "loss", "transform": "trivialaugment",
    },
    "thaw": {
        "epochs": 3, "optimizer": "adamw", "lr": 0.01, "accumulate": 3, "ema": 0.8,
        "freeze_upto": "block2", "unfreeze_at": ["1:block2", "2:block1"],
        "allow_random_frozen": True,
    },
    "cache": {
        "epochs": 3, "optimizer": "adamw", "lr": 0.01, "freeze_upto": "block1", "cache": "disk",
        "views": 2, "ema": 0.9, "allow_random_frozen": True,
    },
    "lora": {
        "epochs": 3, "optimizer": "adamw", "lr": 0.02, "lora": 2, "ema": 0.8,
        "allow_random_frozen": True,
    },
}  # fmt: skip
"""What is told apart: the loop, early stopping, gradual unfreezing, the prefix cache, adapters."""

PLUGIN = {
    "zoo_tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: zoo-tiny\nVersion: 1.0\n",
    "zoo_tiny-1.0.dist-info/entry_points.txt": "[zoo]\ntiny = zoo_tiny\n",
    "zoo_tiny/registry.toml": """
schema = 1
[input.small]
size = [3, 16, 16]
mean = [0.5, 0.5, 0.5]
std = [0.5, 0.5, 0.5]
[[model]]
name = "net"
target = "zoo_tiny:Net"
summary = "Two blocks with batch norm, dropout, a linear head"
head = "head"
stages = [["block1", ["block1"]], ["block2", ["block2"]]]
input = "small"
classes = 3
""",
    "zoo_tiny/__init__.py": """
from torch import nn

def block(inputs, outputs):
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, 2, 1), nn.BatchNorm2d(outputs), nn.ReLU(), nn.Dropout(0.1)
    )

class Net(nn.Module):
    def __init__(self, num_classes=3):
        super().__init__()
        self.block1, self.block2 = block(3, 6), block(6, 8)
        self.pool, self.drop = nn.AdaptiveAvgPool2d(2), nn.Dropout(0.2)
        self.head = nn.Linear(32, num_classes)

    def forward(self, x):
        x = self.pool(self.block2(self.block1(x)))
        return self.head(self.drop(x.flatten(1)))
""",
}


def settle(place: Path) -> None:
    """Make the plugin and the images, and live there."""
    from PIL import Image

    for name, text in PLUGIN.items():
        path = place / "site" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    generator = random.Random(0)
    for number, kind in enumerate(("ash", "birch", "cedar")):
        (place / "photos" / kind).mkdir(parents=True)
        for index in range(11):
            raw = bytes(generator.randrange(80 * number, 80 * number + 95) for _ in range(1200))
            Image.frombytes("RGB", (20, 20), raw).save(place / "photos" / kind / f"{index}.png")
    sys.path.insert(0, str(place / "site"))
    os.environ.update(PYTHONPATH=str(place / "site"), ZOO_PLUGINS="tiny")
    os.chdir(place)
    for name in (
        "zoo.engine.resume",
        "zoo.engine.judging.judge",
        "torchvision.transforms.v2",
        "torch.fx",
    ):
        import_module(name)  # once, not in every life
    registry.load()


def events(recipe: str, name: str, **more):
    """Begin a run, or go on with it if it has been begun."""
    from zoo.core.request import request
    from zoo.engine.resume import go_on
    from zoo.engine.run import conduct

    known = registry.load()
    folder = Path("runs", name)
    if (folder / "recipe.toml").is_file():
        return go_on(folder, known)
    values = {**SHARED, **RECIPES[recipe], "name": name, **more}
    return conduct(request("train", "tiny/net", values, registry=known).recipe, known)


def live(recipe: str, name: str, *, before: Callable[[], object] = lambda: None, **more) -> int:
    """One life of a run in a forked process: to its end and its predictions; gives the pid.

    Args:
        recipe: Of :data:`RECIPES`.
        name: The run's name; it has a cache of its own.
        before: Called in that process before anything else.
        **more: Flags besides the recipe's.
    """
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setsid()
            os.environ["ZOO_CACHE"] = str(Path("caches", name).absolute())
            before()
            for _ in events(recipe, name, **more):
                pass
            foretell(Path("runs", name))
            code = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(code)
    return pid


def foretell(run: Path) -> None:
    """Write down what a finished run predicts."""
    import zoo

    files = sorted(str(path) for path in Path("photos").rglob("*.png"))[::4]
    found = [
        (p.image, [(label, repr(share)) for label, share in p.top])
        for p in zoo.predict(run, files, device="cpu")
    ]
    (run / "predictions.json").write_text(json.dumps(found))


def outcome(name: str) -> dict[str, object]:
    """Everything that must be the same to the bit: states, weights, lines, predictions."""
    from zoo.engine.saving import tensorfile
    from zoo.engine.saving.checkpoint import list_states

    run = Path("runs", name)
    drop = ("images_per_second", "seconds")
    lines = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    found: dict[str, object] = {
        "lines": [{k: v for k, v in line.items() if k not in drop} for line in lines],
        "predictions": (run / "predictions.json").read_text(),
    }
    for step, path in [*list_states(run)[:1], (0, run / "model.safetensors")]:
        tensors, header = tensorfile.read(path)
        found |= {f"{step} {key}": value.numpy().tobytes() for key, value in tensors.items()}
        if "state" in header.metadata:
            found[f"{step} state"] = json.loads(header.metadata["state"])["live"]
    return found
