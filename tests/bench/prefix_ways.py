"""What :mod:`prefix` measures against: images, starting weights, the plain loop, the plain tail."""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.functional import cross_entropy


def prepare(root: Path, options: argparse.Namespace) -> None:
    """Draw JPEG files of demo shapes, and train a resnet18 on other shapes for a short while."""
    if not (root / "train").is_dir():
        for part, count, first in (
            ("train", options.images, 0),
            ("val", options.val_images, options.images),
        ):
            for index in range(count):
                draw(root / part, index % options.classes, first + index)
    if not (root / "base.safetensors").is_file():
        from safetensors.torch import save_file

        save_file(start(options.threads), root / "base.safetensors")


def draw(folder: Path, label: int, number: int) -> None:
    """One JPEG file of 320 x 320 pixels."""
    from PIL import Image

    from zoo.builtin.demo import render

    path = folder / f"c{label:03d}" / f"{number}.jpg"
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(render(label, number, size=320)).save(path, quality=90)


def start(threads: int) -> dict[str, torch.Tensor]:
    """Weights of a resnet18 with 1,000 outputs that has seen 30 other shapes at 96 pixels."""
    from torchvision.models import resnet18

    from zoo.builtin.demo import render
    from zoo.engine.place import computes_bf16

    torch.manual_seed(0)
    torch.set_num_threads(threads)
    fast = computes_bf16(torch.device("cpu"))  # elsewhere bf16 takes many times as long
    model = resnet18()
    pixels = torch.stack(
        [torch.from_numpy(render(500 + i % 30, i, size=96)) for i in range(900)]
    ).permute(0, 3, 1, 2)
    labels = torch.arange(900) % 30
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
    for _ in range(6):
        for rows in torch.randperm(900).split(32):
            x = (pixels[rows].float() / 255 - 0.45) / 0.225
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=fast):
                loss = cross_entropy(model(x).float(), labels[rows])
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return {k: v.detach().contiguous() for k, v in model.state_dict().items()}


def plain(told: dict[str, Any]) -> None:
    """The loop of the tutorials; writes accuracy and seconds of each epoch."""
    from safetensors.torch import load_file
    from torch.utils.data import DataLoader
    from torchvision import datasets, models, transforms

    torch.manual_seed(0)
    torch.set_num_threads(told["threads"])
    root, size = Path(told["root"]), told["size"]
    norm = transforms.Normalize([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    augment = transforms.Compose([
        transforms.RandomResizedCrop(size), transforms.RandomHorizontalFlip(),
        transforms.ToTensor(), norm,
    ])  # fmt: skip
    crop = transforms.Compose([
        transforms.Resize(size * 8 // 7), transforms.CenterCrop(size), transforms.ToTensor(), norm,
    ])  # fmt: skip
    shared = {"batch_size": 32, "num_workers": told["workers"]}
    sets = datasets.ImageFolder(root / "train", augment), datasets.ImageFolder(root / "val", crop)
    train, val = DataLoader(sets[0], shuffle=True, **shared), DataLoader(sets[1], **shared)
    model = models.resnet18()
    model.load_state_dict(load_file(root / "base.safetensors"))
    frozen = {"layer3": ("conv1", "bn1", "layer1", "layer2", "layer3"), "whole": ()}
    for name, parameter in model.named_parameters():
        parameter.requires_grad = not (
            told["freeze"] == "head" or name.startswith(frozen.get(told["freeze"], ()))
        )
    model.fc = nn.Linear(512, len(sets[0].classes))
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.01, momentum=0.9, weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, told["epochs"])
    best, top1, walls, cpus = model.state_dict(), 0.0, [], []
    for _ in range(told["epochs"]):
        wall, cpu = time.monotonic(), time.process_time()
        model.train()
        for images, labels in train:
            optimizer.zero_grad()
            loss = cross_entropy(model(images), labels)
            loss.backward()
            optimizer.step()
        schedule.step()
        model.eval()
        with torch.no_grad():
            right = sum(int((model(x).argmax(1) == y).sum()) for x, y in val)
        top1 = right / len(sets[1])
        best = copy.deepcopy(model.state_dict())
        walls.append(time.monotonic() - wall)
        cpus.append(time.process_time() - cpu)
    torch.save(best, root / "plain.pt")
    found = {"top1": top1, "wall_epochs": walls, "cpu_epochs": cpus}
    Path(told["out"]).write_text(json.dumps(found))


def compare_tails(options: argparse.Namespace, images: int = 192, epochs: int = 4) -> None:
    """Time steps of the tail behind layer3, ours and hand-written, epoch by epoch in turns."""
    from zoo.core import registry
    from zoo.core.recipe import DevicePart, FreezePart, SurgeryPart
    from zoo.core.specs import InputSpec
    from zoo.data.images import ImageSet, ItemReader
    from zoo.data.loaders import make_loader
    from zoo.engine.feed import Feed
    from zoo.engine.freezing.freeze import plan_freeze
    from zoo.engine.freezing.frozen import Frozen
    from zoo.engine.loop import fit
    from zoo.engine.place import choose, computes_bf16, settle
    from zoo.engine.prefix.setting import CacheWish
    from zoo.engine.prefix.use import use_prefix
    from zoo.engine.reports import EpochReport
    from zoo.engine.rules import Rules
    from zoo.engine.saving.live import Live
    from zoo.engine.schedule import Schedule
    from zoo.engine.surgery import operate

    known = registry.load()
    spec = known.model("resnet18")
    model = known.build("model", "resnet18")
    operate(model, spec, SurgeryPart(), classes=20)
    shown = InputSpec(size=(3, options.size, options.size))
    kind = "bf16" if computes_bf16(torch.device("cpu")) else "fp32"
    wish = DevicePart(threads=options.threads, precision=kind, channels_last=True)
    place = choose(wish)
    settle(place)
    model.to(memory_format=torch.channels_last)
    plan = plan_freeze(model, spec, FreezePart(upto="layer3"), shown)
    frozen = Frozen(model, plan)
    noise = torch.randint(0, 256, (images, 3, options.size, options.size), dtype=torch.uint8)
    labels = [i % 20 for i in range(images)]
    names = tuple(map(str, range(20)))
    reader = ItemReader(list(zip(noise, labels, strict=True)))
    pictures = ImageSet("noise", names, labels, [str(i) for i in range(images)], reader)
    loaders = [make_loader(pictures, None, batch_size=32, train=t, workers=0) for t in (1, 0)]
    used = use_prefix(
        model, plan, shown, train=loaders[0], val=loaders[1], feed=Feed(place, shown), place=place,
        wish=CacheWish(mode="ram"), epochs=epochs + 1, root=Path("."),
        identity={"train": "", "val": ""},
    )  # fmt: skip
    kept = [(batch.images.clone(), batch.labels) for batch in used.train.epoch(0)]
    rows = torch.cat([x.permute(0, 2, 3, 1) for x, _ in kept]).contiguous()
    known_labels = torch.cat([y for _, y in kept])
    hand = copy.deepcopy(model)
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.01, momentum=0.9)
    live = Live(model=model, optimizer=optimizer, schedule=Schedule(optimizer))
    live.position.epoch = 1
    ours = fit(
        live, Rules(epochs=epochs + 1, seed=0), train=used.train, loss=cross_entropy,
        feed=used.feed, place=place, hold=frozen.hold, cut=used.cut,
    )  # fmt: skip
    theirs = _hand(hand, rows, known_labels, bf16=kind == "bf16")
    times: tuple[list[tuple[float, float]], list[tuple[float, float]]] = ([], [])
    for _ in range(epochs):
        for into, steps in ((times[0], ours), (times[1], theirs)):
            clock = time.monotonic(), time.process_time()
            for report in steps:
                if report is None or isinstance(report, EpochReport):
                    break
                now = time.monotonic(), time.process_time()
                into.append((now[0] - clock[0], now[1] - clock[1]))
                clock = now
    wall, cpu = (
        [1e3 * statistics.median(t[kind] for t in part) for part in times] for kind in (0, 1)
    )
    print(
        f"= tail steps, {kind}: ours {wall[0]:.1f} ms wall, {cpu[0]:.1f} ms CPU; hand-written "
        f"{wall[1]:.1f}, {cpu[1]:.1f}; ratio {wall[0] / wall[1]:.3f} wall, "
        f"{cpu[0] / cpu[1]:.3f} CPU  target at most 1.10",
        flush=True,
    )


def _hand(model: nn.Module, rows: torch.Tensor, labels: torch.Tensor, *, bf16: bool) -> Any:
    """The tail as one would write it for this one model; yields after each step, ``None`` after
    each epoch. Rows are (N, H, W, C)."""
    model.train()
    trained = [p for p in model.parameters() if p.requires_grad]
    optimizer = torch.optim.SGD(trained, lr=0.01, momentum=0.9)
    while True:
        for chosen in torch.randperm(len(rows)).split(32):
            x = rows[chosen].permute(0, 3, 1, 2)
            with torch.autocast("cpu", dtype=torch.bfloat16, enabled=bf16):
                out = model.fc(torch.flatten(model.avgpool(model.layer4(x)), 1))
                loss = cross_entropy(out, labels[chosen])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
            yield loss.detach()
        yield None


if __name__ == "__main__":
    plain(json.loads(sys.argv[1]))
