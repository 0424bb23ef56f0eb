"""What a training step costs with adapters (``--lora``) beside one that trains all weights, or a head.

    python tests/bench/adapters.py                          # resnet18, vit_b_16, some five minutes
    python tests/bench/adapters.py --model convnext_tiny --size 224 --batch 8

Each way is the model as ``zoo finetune`` makes it (frozen part held, memory format and precision as
``auto`` chooses them) and its forward, backward and SGD step on random images; ways take turns. The
frozen part runs in every step: what is gained by keeping its outputs is not in these numbers.
``inside`` has all adapters in the weights, as attention needs it, instead of beside the layers.
"""

from __future__ import annotations

import argparse
import statistics
import time
from dataclasses import replace
from unittest.mock import patch

import torch
from tables import machine, machine_line, markdown
from torch import nn

from zoo.core import registry
from zoo.core.recipe import DevicePart, FreezePart
from zoo.core.specs import InputSpec
from zoo.engine.allocator import keep_freed
from zoo.engine.evaluate import main_output
from zoo.engine.freezing import adapt as adapting
from zoo.engine.freezing.freeze import plan_freeze
from zoo.engine.freezing.frozen import Frozen
from zoo.engine.place import autocast, choose, tune
from zoo.engine.work import suited, work_of

WAYS: dict[str, FreezePart] = {
    "everything trains": FreezePart(),
    "--lora 8": FreezePart(lora=8),
    "--lora 8, inside": FreezePart(lora=8),
    "--lora 8 --freeze-upto HALF": FreezePart(lora=8),
    "the head alone": FreezePart(upto="backbone"),
}
HALF = {"resnet18": "layer3", "vit_b_16": "block5"}


class Way:
    """One way to train a model.

    Args:
        name: Which.
        options: Model, size, images of a batch.
    """

    def __init__(self, name: str, options: argparse.Namespace) -> None:
        spec = registry.load().model(options.model)
        shown = InputSpec(size=(3, options.size, options.size))
        torch.manual_seed(0)
        model: nn.Module = registry.load().build("model", options.model, num_classes=40)
        part = WAYS[name]
        if "HALF" in name:
            part = replace(part, upto=HALF[options.model])
        if part.lora is not None:
            called = frozenset[str]()
            inside = patch.object(adapting, "_called", lambda _tracer: called)
            if "inside" in name:
                inside.start()
            part, _ = adapting.adapt(model, spec, part, shown)
            if "inside" in name:
                inside.stop()
        self.frozen = Frozen(model, plan_freeze(model, spec, part, shown))
        device = DevicePart(device="cpu", threads=options.threads)
        place = choose(device)
        self.place = suited(place, device, work_of(model, shown), options.batch)
        layout = torch.channels_last if self.place.channels_last else torch.preserve_format
        self.model = model.to(memory_format=layout)
        self.model.train()
        self.frozen.hold(self.model)
        self.trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.SGD(self.trained, lr=1e-4, momentum=0.9)
        self.images = torch.randn(options.batch, *shown.size).to(memory_format=layout)
        self.labels = torch.arange(options.batch) % 40
        self.seconds: list[float] = []

    @property
    def size(self) -> int:
        """Numbers that train."""
        return sum(p.numel() for p in self.trained)

    def step(self) -> None:
        """One step, timed."""
        tune(self.place)
        start = time.perf_counter()
        with autocast(self.place):
            outputs = main_output(self.model(self.images)).float()
        nn.functional.cross_entropy(outputs, self.labels).backward()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        self.seconds.append(time.perf_counter() - start)


def compare(options: argparse.Namespace) -> str:
    """The table of one model, as markdown."""
    names = [n for n in WAYS if "HALF" not in n or options.model in HALF]
    ways = {name: Way(name, options) for name in names}
    for _ in range(options.rounds + 2):
        for way in ways.values():
            way.step()
    for way in ways.values():
        del way.seconds[:2]
    whole = ways["everything trains"]
    rows = []
    for name, way in ways.items():
        ratio = statistics.median(a / b for a, b in zip(whole.seconds, way.seconds, strict=True))
        label = name.replace("HALF", HALF.get(options.model, ""))
        rows.append([
            label, f"{way.size:,}", f"{1000 * statistics.median(way.seconds) / options.batch:.1f}",
            f"{ratio:.2f}",
        ])  # fmt: skip
    place = whole.place
    told = f"{options.model}, {options.size} px, batch {options.batch}, {place.precision}, {place.threads} threads"
    table = markdown(("way", "numbers that train", "ms an image", "times faster"), rows)
    return f"{told}; median of {options.rounds} interleaved steps.\n\n{table}"


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", nargs="+", default=["resnet18", "vit_b_16"])
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--threads", type=int)
    options = parser.parse_args()
    keep_freed()
    print(f"{machine_line(machine())}.\n")
    for model in options.model:
        print(compare(argparse.Namespace(**{**vars(options), "model": model})), end="\n\n")


if __name__ == "__main__":
    main()
