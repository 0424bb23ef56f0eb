"""What cutting and caching the frozen part saves: the same fine-tune, run five ways.

    python tests/bench/prefix.py --epochs 5 20 --images 256 --size 128

Ways: ``plain`` is what tutorials do (requires_grad = False, frozen norms in eval, fp32, the
default memory format); ``zoo`` adds the engine's precision and memory format; ``cut`` runs the
frozen part with its norms folded; ``views=K`` keeps K random views of each training image.
Prints seconds of wall and CPU time, the ratio to ``plain``, and the validation accuracy (mean of the last
five epochs). The
images are drawn and stored as JPEG files, so decoding and augmenting are part of the time.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from pathlib import Path

import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torchvision.io import write_jpeg

from zoo.core import registry
from zoo.core.recipe import DevicePart, FreezePart, SurgeryPart
from zoo.core.specs import InputSpec
from zoo.data.images import FileReader, ImageSet
from zoo.data.loaders import make_loader
from zoo.engine.feed import Feed
from zoo.engine.freezing.freeze import plan_freeze
from zoo.engine.freezing.frozen import Frozen
from zoo.engine.loop import fit
from zoo.engine.place import Place, choose
from zoo.engine.prefix.use import CacheWish, use_prefix
from zoo.engine.reports import EpochReport
from zoo.engine.rules import Rules
from zoo.engine.saving.live import Live
from zoo.engine.schedule import Schedule
from zoo.engine.surgery import operate

CLASSES = 4


def draw(folder: Path, count: int, seed: int) -> ImageSet:
    """Noisy stripes: the class is their direction."""
    generator = torch.Generator().manual_seed(seed)
    folder.mkdir(parents=True)
    grid = torch.linspace(0, 1, 320)
    paths, labels = [], []
    for index in range(count):
        label = index % CLASSES
        angle = torch.tensor(label * 3.1416 / CLASSES)
        wave = grid[:, None] * angle.cos() + grid[None, :] * angle.sin()
        wave = (wave * (30 + 10 * torch.rand((), generator=generator))).sin() * 60 + 128
        noise = torch.randn(3, 320, 320, generator=generator) * 50
        path = folder / f"{index:05d}.jpg"
        write_jpeg((wave + noise).clamp(0, 255).byte(), str(path), quality=90)
        paths.append(str(path))
        labels.append(label)
    classes = tuple(f"direction {k}" for k in range(CLASSES))
    return ImageSet(folder.name, classes, labels, paths, FileReader(tuple(paths)))


def run(way: str, sets: tuple[ImageSet, ImageSet], options: argparse.Namespace, epochs: int):
    """One fine-tune; gives wall seconds, CPU seconds, top-1, and the line about the cache."""
    found = registry.load()
    spec = found.model(options.model)
    torch.manual_seed(0)
    model = found.build("model", options.model)
    operate(model, spec, SurgeryPart(), classes=CLASSES)
    given = spec.input or InputSpec()
    shown = InputSpec(size=(3, options.size, options.size), mean=given.mean, std=given.std)
    device = DevicePart(device=options.device, threads=options.threads)
    place = choose(device)
    if way == "plain":
        place = Place(device=place.device, threads=place.threads)
    torch.set_num_threads(place.threads)
    layout = torch.channels_last if place.channels_last else torch.preserve_format
    model.to(place.device, memory_format=layout)
    plan = plan_freeze(model, spec, FreezePart(upto=options.upto), shown)
    frozen = Frozen(model, plan)
    shared = {"batch_size": options.batch, "seed": 1, "workers": 0}
    augment = found.build("transform", "standard", shown)
    crop = found.build("transform", "center-crop", shown)
    train = make_loader(sets[0], augment, train=True, **shared)
    val = make_loader(sets[1], crop, train=False, **shared)
    wish = CacheWish(mode="off")
    if way == "cut":
        wish = CacheWish(mode="ram", size=0)
    elif way.startswith("views="):
        wish = CacheWish(mode="auto", views=int(way.removeprefix("views=")))
    start, cpu = time.monotonic(), time.process_time()
    used = use_prefix(
        model, plan, shown, train=train, val=val, feed=Feed(place, shown), place=place, wish=wish,
        epochs=epochs, root=options.root / "cache", identity={"train": way, "val": way},
    )  # fmt: skip
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.01, momentum=0.9)
    live = Live(model=model, optimizer=optimizer, schedule=Schedule(optimizer))
    reports = fit(
        live, Rules(epochs=epochs, seed=1), train=used.train, val=used.val, loss=cross_entropy,
        feed=used.feed, place=place, hold=frozen.hold, cut=used.cut,
    )  # fmt: skip
    ends = [report.val.top1 for report in reports if isinstance(report, EpochReport)][-5:]
    if place.device.type != "cpu":
        torch.accelerator.synchronize()
    used.close()
    assert isinstance(model, nn.Module)
    return time.monotonic() - start, time.process_time() - cpu, sum(ends) / len(ends), used.line


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="resnet18")
    parser.add_argument("--upto", default="layer3")
    parser.add_argument("--epochs", type=int, nargs="+", default=[5, 20])
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--ways", nargs="+", default=["plain", "zoo", "cut", "views=1", "views=4"])
    options = parser.parse_args()
    options.root = Path(tempfile.mkdtemp())
    try:
        sets = draw(options.root / "train", options.images, 0), draw(options.root / "val", 64, 1)
        for epochs in options.epochs:
            print(
                f"{options.model} frozen up to {options.upto}, {options.size} px, {epochs} epochs"
            )
            base = None
            for way in options.ways:
                wall, cpu, top1, line = run(way, sets, options, epochs)
                base = base or cpu
                print(
                    f"  {way:8} wall {wall:7.1f} s  CPU {cpu:7.1f} s  "
                    f"{base / cpu:5.1f}x  top-1 {top1:.3f}  {line}",
                    flush=True,
                )
    finally:
        shutil.rmtree(options.root, ignore_errors=True)


if __name__ == "__main__":
    main()
