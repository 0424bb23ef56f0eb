"""A trained model at work: measured on labelled images, or asked about single ones."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import torch

from zoo.core import compose
from zoo.core.recipe import DataPart, DevicePart, Recipe
from zoo.data.labels import align
from zoo.data.loaders import make_loader
from zoo.data.shrink import shrunk
from zoo.data.sources import open_data, open_for_evaluation, open_images
from zoo.engine.cores import usable_cores
from zoo.engine.evaluate import evaluate, infer
from zoo.engine.feed import Feed
from zoo.engine.parts import is_convolutional
from zoo.engine.place import choose, settle
from zoo.engine.transforms import image_transform
from zoo.engine.work import suited, work_of
from zoo.errors import CheckpointError, DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from zoo.core.registry import Registry
    from zoo.data.images import ImageSet
    from zoo.engine.judgement import Judgement
    from zoo.engine.place import Place
    from zoo.engine.start.loaded import Loaded

_OWN = "most of these images are those that the model was trained on: others will fare worse"


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """What a model says about one image.

    Attributes:
        image: The file.
        top: ``(class name, probability)``, most likely first.
        actual: The class that its folder is named after, if the model knows it.
    """

    image: str
    top: tuple[tuple[str, float], ...]
    actual: str | None = None

    @property
    def label(self) -> str:
        """The most likely class."""
        return self.top[0][0]


def judge(
    loaded: Loaded,
    registry: Registry,
    *,
    data: DataPart | None = None,
    split: str = "val",
    metrics: Sequence[str] | None = None,
    device: DevicePart | None = None,
    changes: Mapping[str, Any] | None = None,
    closely: bool = False,
) -> Judgement:
    """Measure a model.

    Args:
        loaded: The model.
        registry: Where named data sets and transforms are.
        data: Which images; default: the validation images that it was trained beside.
        split: Split of ``data``.
        metrics: Further metrics by name; default: those that its recipe names.
        device: Where to compute; default: as ``auto`` says, in the run's own precision.
        changes: Fields of the run's recipe that are other now, by dotted key.
        closely: Whether single images and a sample of the outputs will be looked at: they are
            kept, and a temperature is fitted.

    Raises:
        DataError: No such images, or classes that the model does not know.
        DeviceError: The device is not there.
        UnknownNameError: No plugin has one of the metrics.
    """
    from zoo.engine.answers import Recorder  # predicting does without these
    from zoo.engine.assemble import build_loss, build_metrics
    from zoo.engine.judgement import judgement

    recipe = compose.changed(_recipe(loaded), changes or {})
    named = recipe.output.metrics if metrics is None else metrics
    qualified = [registry.find("metric", name).qualified for name in named]
    further = build_metrics(qualified, registry, len(loaded.classes), loaded.classes)
    images, name, notes = _images(loaded, registry, recipe, data, split)
    if data is not None:
        changed = replace(recipe.data, batch_size=data.batch_size, workers=data.workers)
        recipe = replace(recipe, data=changed)
    if not len(images):
        raise DataError(f"{name} has no images")
    device = device or DevicePart(precision=recipe.device.precision)
    place = _settled(loaded, device, _recipe(loaded).data.batch_size)
    loader = _loader(recipe, registry, loaded, images, place)
    recorder = Recorder(len(images), closely=closely)
    with _explained(loaded):
        found = evaluate(
            _moved(loaded, place),
            loader.epoch(0),
            loss=build_loss(recipe, registry, place),
            feed=Feed(place, loaded.input),
            place=place,
            metrics=further,
            record=recorder.add,
        )
    return judgement(
        found,
        recorder.answers(),
        data=name,
        classes=loaded.classes,
        counts=images.counts(),
        notes=(*notes, *loader.notes),
        place=f"{place.device}, {place.precision}",
        split="all" if _OWN in notes else split if data is None or data.source is None else "",
        recipe=recipe,
        images=images if closely else None,
    )


def predict(
    loaded: Loaded,
    registry: Registry,
    paths: Sequence[str | Path],
    *,
    top: int = 5,
    device: DevicePart | None = None,
    on_bad_image: str = "error",
    note: Callable[[str], None] | None = None,
) -> Iterator[Prediction]:
    """Classify images.

    Args:
        loaded: The model.
        registry: Where the transform is.
        paths: Files and folders.
        top: Classes to give for each image.
        device: Where to compute; default: as ``auto`` says.
        on_bad_image: ``error`` or ``skip``.
        note: Told which images are left out and what is changed on reading, one line each.

    Yields:
        One prediction an image, in the order given.

    Raises:
        DataError: Nothing there, or unreadable files.
    """
    opened = open_images(paths, channels=loaded.input.size[0], on_bad_image=on_bad_image)
    recipe = _recipe(loaded)
    part = device or DevicePart(precision="fp32")
    place = choose(part, conv=is_convolutional(loaded.model))
    settle(place)
    images = shrunk(opened.images, recipe.data.shrink)
    loader = _loader(recipe, registry, loaded, images, place)
    known = set(loaded.classes)
    feed = Feed(place, loaded.input)
    made = infer(_moved(loaded, place), loader.epoch(0), feed=feed, place=place)
    for outputs, _, batch in _each(loaded, made):
        shares, order = outputs.softmax(1).topk(min(top, outputs.shape[1]), 1)
        for row, index in enumerate(batch.indices.tolist()):
            key = opened.images.keys[index]
            folder = _folder_of(key)
            yield Prediction(
                image=key,
                top=tuple(
                    (_name(loaded, int(label)), float(share))
                    for label, share in zip(order[row], shares[row], strict=True)
                ),
                actual=folder if folder in known else None,
            )
    for text in (*opened.notes, *loader.notes):
        if note is not None:
            note(text)


@contextlib.contextmanager
def _explained(loaded: Loaded) -> Iterator[None]:
    """Say so if the model does not take the images that its file says it takes.

    Raises:
        CheckpointError: It does not; any other failure stays what it is.
    """
    try:
        yield
    except RuntimeError as error:
        from zoo.engine.tryout import try_out

        try:
            try_out(loaded.model.cpu(), loaded.input, name="its model")
        except UsageError as refused:
            raise CheckpointError(
                f"what {loaded.path} says of its input is wrong: {refused.message}",
                hint="get the file again from where it was trained",
            ) from error
        raise


def _each(loaded: Loaded, made: Iterator[Any]) -> Iterator[Any]:
    with _explained(loaded):
        yield from made


def _name(loaded: Loaded, label: int) -> str:
    return loaded.classes[label] if label < len(loaded.classes) else str(label)


def _folder_of(key: str) -> str:
    """The folder that an image was found in; one that is a link belongs where the link lies."""
    from pathlib import Path

    return Path(os.path.abspath(key)).parent.name  # noqa: PTH100 - resolve() follows the link


def _recipe(loaded: Loaded) -> Recipe:
    return compose.from_dict(loaded.info.recipe) if loaded.info.recipe else Recipe()


def _images(
    loaded: Loaded, registry: Registry, recipe: Recipe, data: DataPart | None, split: str
) -> tuple[ImageSet, str, tuple[str, ...]]:
    channels = loaded.input.size[0]
    if data is not None and data.source is not None:
        opened = open_for_evaluation(
            data, registry=registry, classes=loaded.classes, channels=channels, split=split
        )
        images = shrunk(opened.images, recipe.data.shrink)
        own = loaded.info.data.get("fingerprint") == opened.fingerprint
        return images, images.name, (*opened.notes, _OWN) if own else opened.notes
    if not loaded.info.recipe:
        raise UsageError(
            f"{loaded.info.model} was not trained here: it has no images of its own",
            hint="--data FOLDER, one folder for each of its classes",
        )
    splits = open_data(
        recipe.data,
        registry=registry,
        classes=len(loaded.classes) or None,
        channels=channels,
        seed=recipe.device.seed,
    )
    notes = splits.notes
    if loaded.info.data.get("fingerprint") not in (None, splits.fingerprint):
        notes = (*notes, "the data changed since the model was trained")
    chosen = {"train": splits.train, "val": splits.val, "test": splits.test}.get(split)
    if chosen is None:
        raise DataError(f"{splits.name} has no split {split!r}", hint="--split val")
    return align(chosen, loaded.classes), f"{splits.name} ({split})", notes


def _settled(loaded: Loaded, part: DevicePart, batch_size: int) -> Place:
    """Where to compute, decided as the run decided it, for the same numbers.

    (That takes a pass through the model, for which torch imports its compiler; predicting does
    without.)
    """
    place = suited(choose(part), part, work_of(loaded.model, loaded.input), batch_size)
    settle(place)
    return place


def _moved(loaded: Loaded, place: Place) -> torch.nn.Module:
    if place.channels_last:
        return loaded.model.to(place.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
    return loaded.model.to(place.device)


def _loader(
    recipe: Recipe, registry: Registry, loaded: Loaded, images: ImageSet, place: Place
) -> Any:
    return make_loader(
        images,
        image_transform(recipe, registry, loaded.input, train=False),
        batch_size=recipe.data.batch_size,
        workers=recipe.data.workers,
        threads=place.threads,
        cores=usable_cores(),
        device=place.device.type,
        seed=recipe.device.seed,
        train=False,
    )
