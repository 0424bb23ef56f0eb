"""Small images in memory: zoo beside the loop of the tutorials, CPU microseconds a sample.

The tutorials' way: a data set that opens each image with Pillow and gives ``ToTensor()`` of it, a
``DataLoader`` without workers, a bare training loop. zoo's way is what ``zoo train`` does: the set
as one uint8 tensor, indexed by the batch, through the whole loop with its reports. Both train the
same network with the same optimizer; blocks are interleaved, the median of each is printed.

python tests/bench/small.py [--images 12800] [--rounds 5] [--write docs/explanation/speed.md]
"""

from __future__ import annotations

import argparse
import copy
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from pathlib import Path

import tables
import torch
from PIL import Image
from torch import nn
from torch.nn import functional
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms

import zoo
from zoo.builtin.transforms import CenterCrop, RandomCrop, Shift
from zoo.core.recipe import DevicePart
from zoo.core.specs import InputSpec
from zoo.data.images import ImageSet, ItemReader
from zoo.data.loaders import Loader
from zoo.engine.feed import Feed
from zoo.engine.loop import fit
from zoo.engine.place import Place, choose
from zoo.engine.rules import Rules
from zoo.engine.saving.live import Live
from zoo.engine.schedule import Schedule
from zoo.engine.work import suited, work_of

MEAN, STD = (0.2860,), (0.3530,)
JOBS = (("mlp", 28, 64), ("lenet", 32, 4), ("lenet", 32, 64))


class Pixels(Dataset):
    """Images as torchvision's MNIST keeps and gives them."""

    classes = tuple("0123456789")

    def __init__(self, count: int, size: int, transform: Callable | None = None) -> None:
        generator = torch.Generator().manual_seed(0)
        self.images = torch.randint(
            0, 256, (count, size, size), dtype=torch.uint8, generator=generator
        )
        self.labels = torch.randint(0, 10, (count,), generator=generator).tolist()
        self.transform = transform

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> tuple:
        image = Image.fromarray(self.images[index].numpy(), mode=None)
        return self.transform(image) if self.transform else image, self.labels[index]


def theirs(count: int, size: int, batch: int) -> DataLoader:
    """The tutorials' loader."""
    steps = transforms.Compose([transforms.ToTensor(), transforms.Normalize(MEAN, STD)])
    return DataLoader(Pixels(count, size, steps), batch_size=batch, shuffle=True)


def ours(count: int, shown: InputSpec, batch: int, kind: type = CenterCrop) -> Loader:
    """zoo's loader, with its transform by batch."""
    pixels = Pixels(count, shown.size[1])
    keys = [str(index) for index in range(count)]
    images = ImageSet("pixels", pixels.classes, pixels.labels, keys, ItemReader(pixels, 1))
    return Loader(images, kind(shown), batch_size=batch)


def used(work: Callable[[], object], count: int) -> float:
    """CPU microseconds a sample."""
    start = time.process_time()
    work()
    return 1e6 * (time.process_time() - start) / count


def parts(name: str, size: int, batch: int) -> tuple[nn.Module, Place]:
    """A network, and where ``--precision auto`` runs it on one thread."""
    torch.manual_seed(0)
    model = zoo.create_model(f"tutorials/{name}", classes=10).train()
    shown = InputSpec(size=(1, size, size))
    part = DevicePart(device="cpu", threads=1)
    return model, suited(choose(part), part, work_of(model, shown), batch)


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)


def bare(model: nn.Module, batches: Iterable) -> None:
    """The tutorials' loop."""
    optimizer = sgd(model)
    for images, labels in batches:
        optimizer.zero_grad()
        loss = functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        loss.item()


def zoos(model: nn.Module, loader: Loader, feed: Feed, place: Place) -> None:
    """zoo's loop, one epoch, nothing saved."""
    optimizer = sgd(model)
    live = Live(model=model, optimizer=optimizer, schedule=Schedule(optimizer))
    rules = Rules(epochs=1, monitor="loss", goal="min")
    for _ in fit(live, rules, train=loader, loss=functional.cross_entropy, feed=feed, place=place):
        pass


def data_ways(count: int) -> dict[str, Callable[[], object]]:
    """Reading alone, batches of 64 at 28 x 28, as the model gets them."""
    shown = InputSpec(size=(1, 28, 28), mean=MEAN, std=STD)
    feed = Feed(Place(device=torch.device("cpu")), shown)
    slow = theirs(count, 28, 64)
    ways: dict[str, Callable[[], object]] = {"data alone: DataLoader, ToTensor": lambda: list(slow)}
    for name, kind in (("as they are", CenterCrop), ("random-crop", RandomCrop), ("shift", Shift)):
        loader = ours(count, shown, 64, kind)

        def read(loader: Loader = loader) -> None:
            for batch in loader.epoch(0):
                feed(batch, train=True)

        ways[f"data alone: zoo, {name}"] = read
    return ways


def training_ways(name: str, size: int, batch: int, count: int) -> dict[str, Callable[[], object]]:
    """A whole epoch of training, both ways."""
    shown = InputSpec(size=(1, size, size), mean=MEAN, std=STD)
    model, place = parts(name, size, batch)
    fp32 = Place(device=place.device)
    slow, quick = theirs(count, size, batch), ours(count, shown, batch)
    title = f"{name}, {size} px, batch {batch}"
    ways: dict[str, Callable[[], object]] = {
        f"{title}: DataLoader, ToTensor, bare loop": lambda: bare(copy.deepcopy(model), slow),
        f"{title}: zoo, fp32": lambda: zoos(copy.deepcopy(model), quick, Feed(fp32, shown), fp32),
    }
    if place.precision != "fp32":
        feed = Feed(place, shown)
        ways[f"{title}: zoo, {place.precision} (auto)"] = lambda: zoos(
            copy.deepcopy(model), quick, feed, place
        )
    return ways


def measure(ways: dict[str, Callable[[], object]], count: int, rounds: int) -> list[list[str]]:
    """Rows of a table: name, median, ratio to the first way's, range of the ratios by round."""
    taken: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        for name, work in ways.items():
            spent = used(work, count)
            if number:  # the first round warms up
                taken[name].append(spent)
    base = next(iter(taken.values()))
    rows = []
    for name, values in taken.items():
        ratios = [one / own for one, own in zip(base, values, strict=True)]
        spread = f"{min(ratios):.2f}-{max(ratios):.2f}"
        rows.append([name, f"{statistics.median(values):.1f}",
                     f"{statistics.median(ratios):.2f}", spread])  # fmt: skip
    return rows


def main(argv: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--images", type=int, default=12_800)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", type=Path, help="replace this page's block `small`")
    given = parser.parse_args(argv)
    torch.set_num_threads(1)
    rows = measure(data_ways(given.images), given.images, given.rounds)
    for name, size, batch in JOBS:
        count = max(batch * 2, given.images // (1 if batch > 4 else 8))
        rows += measure(training_ways(name, size, batch, count), count, given.rounds)
    head = ("one sample, one thread", "CPU us", "times faster", "by round")
    text = (
        f"{tables.machine_line(tables.machine())}.\n"
        f"{given.images:,} images of 28 or 32 pixels, grey; median of {given.rounds} interleaved "
        f"rounds.\nMade by `python tests/bench/small.py --images {given.images} "
        f"--rounds {given.rounds}`.\n\n{tables.markdown(head, rows)}\n"
    )
    sys.stdout.write(text)
    if given.write:
        tables.write_block(given.write, "small", text)
    return 0


if __name__ == "__main__":
    sys.exit(main())
