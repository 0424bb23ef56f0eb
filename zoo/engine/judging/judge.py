"""A trained model at work: measured on labelled images, or asked about single ones."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from zoo.core import compose
from zoo.core.recipe import DataPart, DevicePart, Recipe
from zoo.data.labels import align
from zoo.data.shrink import shrunk
from zoo.data.sources import open_data, open_for_evaluation
from zoo.engine.evaluate import evaluate, infer
from zoo.engine.feed import Feed
from zoo.engine.judging.showing import (
    class_name,
    eval_loader,
    explained,
    folder_of,
    moved,
    recipe_of,
    show,
)
from zoo.engine.place import choose, settle
from zoo.engine.work import suited, work_of
from zoo.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    from torch import nn

    from zoo.core.registry import Registry
    from zoo.data.images import ImageSet
    from zoo.data.loaders import Loader
    from zoo.engine.evaluate import Evaluation
    from zoo.engine.judging.judgement import Judgement
    from zoo.engine.judging.robustness import Robustness
    from zoo.engine.place import Place
    from zoo.engine.start.loaded import Loaded

_BOTH = "answers are the mean over each image and its mirror image"
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
    corruptions: bool = False,
    tta: bool = False,
    progress: Callable[[int, int], None] | None = None,
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
        corruptions: Whether to measure on spoilt images as well.
        tta: Whether it is asked about mirror images, too, and answers with the mean.
        progress: Told of spoilt images: how many of how many.

    Raises:
        DataError: No such images, or classes that the model does not know.
        DeviceError: The device is not there.
        UnknownNameError: No plugin has one of the metrics.
        UsageError: Spoilt or mirror images are asked for, and there are no classes to tell right
            from wrong, or to average the probabilities of.
    """
    from zoo.engine.assemble import build_loss
    from zoo.engine.classnames import build_metrics
    from zoo.engine.judging.answers import Recorder  # predicting does without these
    from zoo.engine.judging.judgement import judgement

    recipe = compose.changed(recipe_of(loaded), changes or {})
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
    place = _settled(loaded, device, recipe_of(loaded).data.batch_size)
    loader = eval_loader(recipe, registry, loaded, images, place)
    recorder = Recorder(len(images), closely=closely)
    asked = _asked(loaded, place, tta=tta)
    how: dict[str, Any] = {"feed": Feed(place, loaded.input), "place": place}
    loss = build_loss(recipe, registry, place)
    with explained(loaded):
        batches = loader.epoch(0)
        found = evaluate(asked, batches, loss=loss, metrics=further, record=recorder.add, **how)
    how["channels"] = loaded.input.size[0]
    robust = _spoilt(asked, loader, found, progress, **how) if corruptions else None
    return judgement(
        found,
        recorder.answers(),
        data=name,
        classes=loaded.classes,
        counts=images.counts(),
        notes=(*notes, *loader.notes, *([_BOTH] if tta else [])),
        place=f"{place.device}, {place.precision}",
        split="all" if _OWN in notes else split if data is None or data.source is None else "",
        recipe=recipe,
        images=images if closely else None,
        robustness=robust,
    )


def _asked(loaded: Loaded, place: Place, *, tta: bool) -> nn.Module:
    """The model where it is to compute, or one that asks it about mirror images as well."""
    model = moved(loaded, place)
    if not tta:
        return model
    from zoo.engine.judging.mirrored import Mirrored

    return Mirrored(model)


def _spoilt(
    model: nn.Module,
    loader: Loader,
    found: Evaluation,
    progress: Callable[[int, int], None] | None,
    **how: Any,
) -> Robustness | None:
    from zoo.engine.judging.robustness import measure

    if found.top1 is None:
        raise UsageError(
            "without classes nothing says which answers on spoilt images are right",
            hint="leave --corruptions out",
        )
    seen = (lambda n: progress(n, found.n)) if progress else (lambda _n: None)
    return measure(model, loader.epoch(0), seen=seen, **how)


def predict(
    loaded: Loaded,
    registry: Registry,
    paths: Sequence[str | Path],
    *,
    top: int = 5,
    device: DevicePart | None = None,
    on_bad_image: str = "error",
    tta: bool = False,
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
        tta: Whether it is asked about mirror images, too, and answers with the mean.
        note: Told which images are left out and what is changed on reading, one line each.

    Yields:
        One prediction an image, in the order given.

    Raises:
        DataError: Nothing there, or unreadable files.
    """
    shown = show(loaded, registry, paths, device=device, on_bad_image=on_bad_image)
    place, known = shown.place, set(loaded.classes)
    asked = _asked(loaded, place, tta=tta)
    made = infer(asked, shown.loader.epoch(0), feed=shown.feed, place=place)
    for outputs, _, batch in _each(loaded, made):
        shares, order = outputs.softmax(1).topk(min(top, outputs.shape[1]), 1)
        for row, index in enumerate(batch.indices.tolist()):
            key = shown.images.keys[index]
            folder = folder_of(key)
            yield Prediction(
                image=key,
                top=tuple(
                    (class_name(loaded, int(label)), float(share))
                    for label, share in zip(order[row], shares[row], strict=True)
                ),
                actual=folder if folder in known else None,
            )
    for text in shown.notes:
        if note is not None:
            note(text)


def _each(loaded: Loaded, made: Iterator[Any]) -> Iterator[Any]:
    with explained(loaded):
        yield from made


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
        raise DataError(
            f"{splits.name} has no {split} images beside those that the run trains and validates on",
            hint="--split val",
        )
    return align(chosen, loaded.classes), f"{splits.name} ({split})", notes


def _settled(loaded: Loaded, part: DevicePart, batch_size: int) -> Place:
    """Where to compute, decided as the run decided it, for the same numbers.

    (That takes a pass through the model, for which torch imports its compiler; predicting does
    without.)
    """
    place = suited(choose(part), part, work_of(loaded.model, loaded.input), batch_size)
    settle(place)
    return place
