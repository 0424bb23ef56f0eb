"""Questions about data sets, transforms, trackers, exporters and commands.

Shapes: N images, C channels, H and W pixels, K classes.
"""

from __future__ import annotations

import tempfile
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.core import registry
from zoo.core.protocols import Tracker
from zoo.core.resolve import resolve
from zoo.core.specs import InputSpec
from zoo.errors import ZooError
from zoo.testing.checks import Check, Question, Settings, Skip, checks_of, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.core.specs import (
        CommandSpec,
        DatasetSpec,
        ExporterSpec,
        TrackerSpec,
        TransformSpec,
    )


def dataset_checks(spec: DatasetSpec, settings: Settings) -> list[Check]:
    """Questions about one data set, split by split; where the data says which, all of them at once."""
    asked: list[tuple[str, Question]]
    if not spec.splits:
        asked = [
            ("names its splits, training first", _names_splits),
            ("every split: can be read by index", partial(_in_each, _is_indexable)),
            ("every split: labels are class numbers", partial(_in_each, _is_labelled)),
        ]
        return checks_of(f"dataset {spec.name}", spec, settings, asked)
    found = []
    for split in spec.splits:
        asked = [
            (f"{split}: can be read by index", partial(_is_indexable, split)),
            (f"{split}: labels are class numbers", partial(_is_labelled, split)),
        ]
        found += checks_of(f"dataset {spec.name}", spec, settings, asked)
    return found


def transform_checks(spec: TransformSpec, settings: Settings) -> list[Check]:
    """Questions about one transform."""
    asked = [
        ("gives the declared output", _batches if spec.stage == "batch" else _gives_images),
        ("follows torch's seed", _follows_the_seed),
    ]
    return checks_of(f"transform {spec.name}", spec, settings, asked)


def tracker_checks(spec: TrackerSpec, settings: Settings) -> list[Check]:
    """Questions about one tracker."""
    asked = [("takes numbers, images and a graph, and closes", _tracks)]
    return checks_of(f"tracker {spec.name}", spec, settings, asked)


def exporter_checks(spec: ExporterSpec, settings: Settings) -> list[Check]:
    """Questions about one export format."""
    asked = [("writes a file that computes the same", _writes)]
    return checks_of(f"exporter {spec.name}", spec, settings, asked)


def command_checks(spec: CommandSpec, settings: Settings) -> list[Check]:
    """Questions about one command."""
    asked = [("is a command with help", _is_a_command)]
    return checks_of(f"command {spec.name}", spec, settings, asked)


def _in_each(
    question: Callable[[str, DatasetSpec, Settings], None], spec: DatasetSpec, settings: Settings
) -> None:
    for split in _splits(spec, settings):
        question(split, spec, settings)


def _names_splits(spec: DatasetSpec, settings: Settings) -> None:
    found = _splits(spec, settings)
    require(found and all(isinstance(n, str) for n in found), f"splits() gives {found!r}, no names")
    require(len(set(found)) == len(found), f"splits() names one twice: {', '.join(found)}")


def _splits(spec: DatasetSpec, settings: Settings) -> tuple[str, ...]:
    return tuple(registry.load().ask("dataset", spec.qualified, "splits", **_given(spec, settings)))


def _dataset(split: str, spec: DatasetSpec, settings: Settings) -> Any:
    given = _given(spec, settings)
    return registry.load().build("dataset", spec.qualified, split=split, transform=None, **given)


def _given(spec: DatasetSpec, settings: Settings) -> dict[str, Any]:
    """Where its files lie, and its options, as its author says."""
    root = settings.roots.get(spec.name) or settings.roots.get(spec.qualified)
    if root is None and spec.download != "none":
        raise Skip(f"its files are not here: roots={{{spec.name!r}: FOLDER}}")
    options = settings.options.get(spec.name) or settings.options.get(spec.qualified) or {}
    return {"root": str(root or tempfile.gettempdir()), "download": False, **options}


def _is_indexable(split: str, spec: DatasetSpec, settings: Settings) -> None:
    data = _dataset(split, spec, settings)
    count = len(data)
    require(count > 0, f"{split} is empty")
    require(len(_dataset(split, spec, settings)) == count, f"{split} has another length each time")
    if split in spec.size:
        require(spec.size[split] == count, f"{split} has {count}, declared are {spec.size[split]}")
    for index in {0, count // 2, count - 1}:
        if hasattr(data, "encoded"):
            file = data.encoded(index)
            require(isinstance(file, bytes) and file, "encoded(index) gives the bytes of a file")
            require(data.encoded(index) == file, f"{split}[{index}] changes when read again")
        item = data[index]
        require(isinstance(item, tuple) and len(item) == 2, "an item is (image, target)")
        again = data[index]
        require(_pixels(item[0]) == _pixels(again[0]), f"{split}[{index}] changes when read again")
        if spec.channels is not None:
            found = _channels(item[0])
            require(found == spec.channels, f"{found} channels, declared are {spec.channels}")
    try:
        data[count]
    except (IndexError, ZooError):
        return
    require(False, f"{split}[{count}] exists although there are {count}")


def _is_labelled(split: str, spec: DatasetSpec, settings: Settings) -> None:
    if spec.task != "classification":
        raise Skip(f"its task is {spec.task}")
    data = _dataset(split, spec, settings)
    names = getattr(data, "classes", None)
    classes = len(names) if names is not None else spec.classes
    require(classes, "neither it nor its entry says how many classes there are")
    assert classes is not None
    if names is not None and spec.classes is not None:
        require(classes == spec.classes, f"{classes} classes, declared are {spec.classes}")
    step = max(1, len(data) // 64)
    labels = [data[index][1] for index in range(0, len(data), step)]
    require(
        all(int(label) == label and 0 <= int(label) < classes for label in labels),
        f"labels are not numbers from 0 to {classes - 1}",
    )
    targets = getattr(data, "targets", None)
    if targets is not None:
        listed = [int(targets[index]) for index in range(0, len(data), step)]
        require(listed == [int(label) for label in labels], "its targets are not its labels")


def _pixels(image: Any) -> bytes:
    if isinstance(image, Tensor):
        image = image.numpy()
    return bytes(image.tobytes()) if hasattr(image, "tobytes") else repr(image).encode()


def _channels(image: Any) -> int:
    """Channels of a tensor (C, H, W), an array (H, W, C), or a Pillow image."""
    if isinstance(image, Tensor):
        return int(image.shape[0]) if image.ndim == 3 else 1
    if hasattr(image, "shape"):
        return int(image.shape[2]) if len(image.shape) == 3 else 1
    return len(image.getbands())


_INPUTS = (InputSpec(size=(3, 32, 32)), InputSpec(size=(3, 24, 40)), InputSpec(size=(1, 28, 28)))
_SIZES = ((32, 32), (50, 70), (9, 13))


def _gives_images(spec: TransformSpec, settings: Settings) -> None:
    del settings
    generator = torch.Generator().manual_seed(0)
    for expects in _INPUTS:
        transform = registry.load().build("transform", spec.qualified, expects)
        for height, width in _SIZES:
            shape = (expects.size[0], height, width)
            image = torch.randint(0, 256, shape, generator=generator, dtype=torch.uint8)
            before = image.clone()
            out = transform(image)
            require(isinstance(out, Tensor), f"it gives a {type(out).__name__}, not a tensor")
            given, wanted = tuple(out.shape), tuple(expects.size)
            require(given == wanted, f"an image {shape} becomes {given}, not {wanted}")
            require(out.dtype == torch.uint8, f"it gives {out.dtype}, not uint8")
            require(torch.equal(image, before), "it writes into the image that it is given")


def _batches(spec: TransformSpec, settings: Settings) -> None:
    del settings
    transform = _batch_transform(spec)
    images, targets = torch.rand(6, 3, 16, 16), torch.arange(6) % 4
    mixed, soft = transform(images, targets)
    require(mixed.shape == images.shape, f"images become {tuple(mixed.shape)}")
    require(soft.shape == (6, 4), f"targets become {tuple(soft.shape)}, not (6, 4)")
    sums = soft.sum(dim=1)
    require(bool(torch.allclose(sums, torch.ones(6))), "the targets of an image do not sum to 1")


def _batch_transform(spec: TransformSpec) -> Any:
    return registry.load().build("transform", spec.qualified, _INPUTS[0], classes=4)


def _follows_the_seed(spec: TransformSpec, settings: Settings) -> None:
    del settings
    expects = _INPUTS[0]
    generator = torch.Generator().manual_seed(0)

    def once() -> Tensor:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(7)
            if spec.stage == "batch":
                images = torch.rand(6, 3, 16, 16)
                mixed: Tensor = _batch_transform(spec)(images, torch.arange(6) % 4)[0]
                return mixed
            image = torch.randint(0, 256, (3, 40, 40), generator=generator.manual_seed(0))
            build = registry.load().build
            out: Tensor = build("transform", spec.qualified, expects)(image.to(torch.uint8))
            return out

    hint = "take random numbers from torch's global generator only"
    require(torch.equal(once(), once()), "the same seed gives another result", hint=hint)


def _tracks(spec: TrackerSpec, settings: Settings) -> None:
    del settings
    with tempfile.TemporaryDirectory() as folder:
        run = Path(folder, "runs", "check")  # some write beside the run
        run.mkdir(parents=True)
        tracker = registry.load().build("tracker", spec.qualified, run)
        require(isinstance(tracker, Tracker), "it has no scalars, image, graph and close")
        tracker.scalars({"loss": 1.0, "top1": 0.5}, 1)
        tracker.image("example", torch.zeros(3, 8, 8, dtype=torch.uint8), 1)
        tracker.graph(torch.nn.Linear(4, 2), torch.zeros(1, 4))
        tracker.close()


def _writes(spec: ExporterSpec, settings: Settings) -> None:
    del settings
    from zoo.core.metadata import CheckpointInfo
    from zoo.exporting import write

    torch.manual_seed(0)
    model = torch.nn.Sequential(
        torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.Flatten(), torch.nn.Linear(144, 3)
    )
    info = CheckpointInfo(model="tiny", classes=("a", "b", "c"), input=InputSpec(size=(3, 8, 8)))
    with tempfile.TemporaryDirectory() as folder:
        write(model, spec.qualified, Path(folder), info=info)


def _is_a_command(spec: CommandSpec, settings: Settings) -> None:
    del settings
    command: Any = resolve(spec.target)
    require(hasattr(command, "make_context"), f"{spec.target} is not a click command")
    require(command.help or command.short_help, "it has no help", hint="give it a docstring")
