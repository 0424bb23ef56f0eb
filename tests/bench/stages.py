"""What an image costs in each stage of a fine-tune, on one thread: what limits what.

::

    python tests/bench/stages.py
    python tests/bench/stages.py --write docs/explanation/speed.md

Milliseconds of CPU an image, the median over interleaved blocks of one batch: reading, the frozen
part, what trains, the optimizer; as everybody has it, as zoo runs it, and as it was tried and did
not pay. The job is resnet18, random weights, frozen up to layer3 or with its head alone trained.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import torch
from PIL import Image
from tables import machine, machine_line, markdown, write_block
from torch import nn
from torchvision import transforms
from torchvision.transforms import v2

from zoo.builtin.demo import render
from zoo.core import registry
from zoo.core.recipe import FreezePart
from zoo.core.specs import InputSpec
from zoo.data.decode import read_image
from zoo.engine.freezing.freeze import plan_freeze
from zoo.engine.freezing.frozen import Frozen
from zoo.engine.prefix.cut import cut

Work = Callable[[], object]
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def reading(folder: Path, count: int, size: int) -> dict[str, Work]:
    """From JPEG files to a batch."""
    paths = []
    for number in range(count):
        pixels = size * 500 // 224
        square = Image.fromarray(render(number, number, size=pixels))
        photo = square.crop((0, pixels // 8, pixels, pixels - pixels // 8))
        photo.save(folder / f"{number}.jpg", quality=90)
        paths.append(str(folder / f"{number}.jpg"))
    usual = transforms.Compose(
        [
            transforms.RandomResizedCrop(size),
            transforms.RandomHorizontalFlip(),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    shown = InputSpec(size=(3, size, size))
    ours = registry.load().build("transform", "standard", shown)

    newer = v2.Compose(
        [
            v2.RandomResizedCrop(size),
            v2.RandomHorizontalFlip(),
            v2.ToImage(),
            v2.ToDtype(torch.float32, scale=True),
            v2.Normalize(MEAN, STD),
        ]
    )

    def opened(path: str, *, half: bool = False) -> Image.Image:
        with Image.open(path) as picture:
            if half:
                picture.draft("RGB", (picture.width // 2, picture.height // 2))
            return picture.convert("RGB")

    return {
        "read: Pillow, torchvision's transforms": lambda: [usual(opened(p)) for p in paths],
        "read: Pillow, torchvision's transforms v2": lambda: [newer(opened(p)) for p in paths],
        "read: zoo": lambda: [ours(read_image(p)) for p in paths],
        "of that, decoding: Pillow": lambda: [opened(p) for p in paths],
        "of that, decoding: Pillow at half the scale": lambda: [
            opened(p, half=True) for p in paths
        ],
        "of that, decoding: zoo": lambda: [read_image(p) for p in paths],
    }


def step(module: nn.Module, given: torch.Tensor, labels: torch.Tensor, *, bf16: bool, **how: bool):
    """A whole training step, optimizer included."""
    trained = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=1e-4, momentum=0.9, **how)

    def work() -> None:
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            loss = nn.functional.cross_entropy(module(given), labels)
        loss.backward()
        optimizer.step()

    return work


def quietly(module: Callable, given: torch.Tensor, *, bf16: bool) -> Work:
    """A pass without gradients."""

    def work() -> None:
        with torch.no_grad(), torch.autocast("cpu", torch.bfloat16, enabled=bf16):
            module(given)

    return work


def computing(batch: int, size: int, classes: int) -> dict[str, Work]:
    """The network, whole and in its two parts."""
    found = registry.load()
    spec = found.model("resnet18")
    shown = InputSpec(size=(3, size, size))
    images, labels = torch.randn(batch, 3, size, size), torch.randint(classes, (batch,))
    flat = images.contiguous(memory_format=torch.channels_last)

    def parts(upto: str, layout: torch.memory_format):
        model = found.build("model", "resnet18", num_classes=classes).to(memory_format=layout)
        plan = plan_freeze(model, spec, FreezePart(upto=upto), shown)
        Frozen(model, plan)
        return model, cut(model, plan, shown)

    whole = found.build("model", "resnet18", num_classes=classes)
    plain, made = parts("layer3", torch.contiguous_format)
    _, quick = parts("layer3", torch.channels_last)
    _, head = parts("backbone", torch.channels_last)
    prefix, folded, fused = made.prefix(), quick.prefix(fold=True), quick.prefix(fold=True)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        fused.fuse(flat[:2])  # stays as it is where the processor has no such operators
        kept, pooled = folded(flat), head.prefix(fold=True)(flat)
    usual = prefix(images).detach()
    fast, tail = quick.tail(), made.tail()
    _, other = parts("layer3", torch.channels_last)
    converted = other.prefix(fold=True)
    converted.body.bfloat16()
    half = flat.bfloat16()
    for module in (plain, whole, tail, fast):
        module.train()
    return {
        "step, everything trains, fp32": step(whole, images, labels, bf16=False),
        "step, frozen by requires_grad, fp32": step(plain, images, labels, bf16=False),
        "frozen part: fp32": quietly(prefix, images, bf16=False),
        "frozen part: channels_last, bf16": quietly(quick.prefix(), flat, bf16=True),
        "frozen part: channels_last, bf16, norms folded": quietly(folded, flat, bf16=True),
        "frozen part: zoo (the same, convolutions fused)": quietly(fused, flat, bf16=True),
        "the same, not fused, its weights in bf16": quietly(converted, half, bf16=False),
        "step of the rest: fp32": step(tail, usual, labels, bf16=False),
        "step of the rest: zoo (channels_last, bf16, kept outputs)": step(
            fast, kept, labels, bf16=True
        ),
        "the same, SGD with foreach": step(fast, kept, labels, bf16=True, foreach=True),
        "the same, SGD fused": step(fast, kept, labels, bf16=True, fused=True),
        "step of the head alone, kept outputs": step(head.tail(), pooled, labels, bf16=True),
    }


def timed(works: dict[str, Work], rounds: int, images: int) -> dict[str, float]:
    """Milliseconds of CPU an image, interleaved; every piece of work runs once before."""
    taken: dict[str, list[float]] = {name: [] for name in works}
    for number in range(rounds + 1):
        for name, work in works.items():
            start = time.process_time()
            work()
            spent = 1000 * (time.process_time() - start) / images
            if number:
                taken[name].append(spent)
    return {name: statistics.median(times) for name, times in taken.items()}


def main(argv: Sequence[str] | None = None) -> int:
    """Measure, print, write."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--classes", type=int, default=300)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", type=Path, metavar="PAGE", help="the page's stages block")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    torch.manual_seed(0)
    with tempfile.TemporaryDirectory(prefix="zoo-stages-") as folder:
        works = reading(Path(folder), given.batch, given.size)
        works |= computing(given.batch, given.size, given.classes)
        taken = timed(works, given.rounds, given.batch)
    base = taken["step, frozen by requires_grad, fp32"]
    rows = [(name, f"{ms:.3f}", f"{base / ms:.1f}") for name, ms in taken.items()]
    text = markdown(("one image, one thread", "CPU ms", "times faster than a frozen step"), rows)
    told = (
        f"{machine_line(machine())}.\nresnet18, {given.size} px, batch {given.batch}, "
        f"{given.classes} classes; median of {given.rounds} interleaved blocks.\nMade by "
        f"`python tests/bench/stages.py --size {given.size} --batch {given.batch} "
        f"--classes {given.classes} --rounds {given.rounds}`.\n\n{text}"
    )
    print(told)
    if given.write:
        write_block(given.write, "stages", told)
    return 0


if __name__ == "__main__":
    sys.exit(main())
