"""What training will be shown, before anything is trained: a few images as the run will draw them.

Everything that decides their pixels is decided as the run decides it: the split, the size in
training, the transforms, and how many views of each image are kept. Only the weights are not
fetched: no pixel depends on them.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from torch import Tensor

from zoo.core import compose, names
from zoo.core.request import WORDS
from zoo.core.settings import without_network
from zoo.core.unfreezing import epochs_in_words
from zoo.data.shown import shown
from zoo.engine.assemble import assemble, early_place, freeze_model
from zoo.engine.parts import build
from zoo.engine.plan import expected_input, model_spec, open_recipe_data
from zoo.engine.precheck import check_parts, check_with_classes
from zoo.engine.processes.distributed import ALONE
from zoo.engine.sizes import agree
from zoo.engine.start.start import Start, input_of
from zoo.engine.start.weights import choose_weights, find_start
from zoo.engine.transforms import auto_transform, image_transform
from zoo.engine.work import suited, work_of
from zoo.errors import DataError, HubError
from zoo.hub.failures import MissingError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.core.protocols import Augmentation
    from zoo.core.recipe import Recipe
    from zoo.core.registry import Registry
    from zoo.core.specs import ModelSpec
    from zoo.data.images import ImageSet, Splits
    from zoo.engine.assemble import Assembly

ROWS, EPOCHS = 8, 6
"""Images and epochs of a preview, at most and always."""


@dataclass(frozen=True, slots=True)
class Shown:
    """One training image.

    Attributes:
        name: Its class.
        key: What it is called.
        evaluation: As evaluation would show it, uint8 ``(C, H, W)``.
        training: As each epoch shows it, uint8 ``(C, H, W)`` each.
    """

    name: str
    key: str
    evaluation: Tensor
    training: tuple[Tensor, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What training will be shown.

    Attributes:
        title: Of which run.
        epochs: How each epoch is called.
        rows: The images.
        notes: What the pictures do not show, one line each.
    """

    title: str
    epochs: tuple[str, ...]
    rows: tuple[Shown, ...]
    notes: tuple[str, ...] = ()


def look_ahead(recipe: Recipe, registry: Registry) -> Preview:
    """Draw what a run would show its model. Nothing is written, nothing is downloaded.

    Args:
        recipe: A checked recipe.
        registry: Where its parts are.

    Raises:
        ZooError: What would keep the run from beginning, or its data or model is not here.
    """
    recipe = _here(recipe)
    place = early_place(recipe, ALONE)
    spec = model_spec(recipe, registry)
    check_parts(recipe, registry, expected_input(recipe, spec))
    start = _start(recipe, registry, spec)
    splits = _opened(recipe, registry, recipe.surgery.in_channels or start.input.size[0])
    built = build(start, recipe, registry, splits.classes)
    check_with_classes(recipe, registry, built.input, len(splits.classes))
    trained = recipe.model.weights != "none"
    frozen = freeze_model(built, recipe, pretrained=trained, images=len(splits.train))
    work = work_of(built.model, built.input)
    place = suited(place, recipe.device, work, recipe.data.batch_size)
    made = assemble(recipe, registry, built, frozen, splits, place=place, world=ALONE)
    judged = image_transform(recipe, registry, built.input, train=False)
    with closing(made.train), closing(made.val):
        return _drawn(recipe, registry, made, splits, judged)


def _here(recipe: Recipe) -> Recipe:
    """The recipe for one process; slices of a model are never cut, so no view is kept."""
    alone = {"device.nproc": 1, "device.sync_bn": False, "device.parallel": "ddp"}
    sliced = recipe.device.parallel == "fsdp" and recipe.device.nproc > 1
    return compose.changed(recipe, {**alone, **({"data.cache": "off"} if sliced else {})})


def _start(recipe: Recipe, registry: Registry, spec: ModelSpec | None) -> Start:
    """Where the model would start; weights that would be fetched are left out.

    Raises:
        HubError: A repository says what its model is shown, and is not here.
    """
    wanted = recipe.model.weights
    source = "" if wanted in WORDS else names.parse(wanted).source
    if spec is None or source or wanted == "none":
        try:
            with without_network():
                return find_start(recipe, registry)
        except MissingError as error:
            raise HubError(
                f"a preview downloads nothing, and {wanted} says what its model is shown",
                hint=f"zoo pull {wanted}",
            ) from error
    weights = choose_weights(spec, wanted)
    options = {**weights.options, **recipe.model.options}
    given, size = weights.input or input_of(spec), recipe.data.size
    options, given = agree(spec, options, given, size, pretrained=True)
    return Start(spec=spec, options=options, input=given)


def _opened(recipe: Recipe, registry: Registry, channels: int) -> Splits:
    here = replace(recipe, data=replace(recipe.data, download=False))
    try:
        return open_recipe_data(here, registry, channels)
    except DataError as error:
        if recipe.data.download and "--download" in error.hint:
            error.hint = "a preview downloads nothing: --dry-run=full fetches the data"
        raise


def _drawn(
    recipe: Recipe, registry: Registry, made: Assembly, splits: Splits, judged: Augmentation
) -> Preview:
    """Draw rows and epochs of an assembled run."""
    train, seed = splits.train, recipe.device.seed
    look = image_transform(recipe, registry, made.seen, train=True)
    fixed = getattr(look, "deterministic", False)  # then every epoch is like the first
    kept = 0 if fixed else made.live.position.views or 0
    counters = [epoch % kept if kept else epoch for epoch in range(EPOCHS)]
    rows = spread(train, ROWS)
    (first,) = _pixels(train, judged, rows, [0], seed)
    training = _pixels(train, look, rows, counters, seed)
    name = recipe.data.train_transform
    name = auto_transform(made.seen, train=True) if name == "auto" else name
    return Preview(
        title=f"{recipe.model.name} on {splits.name}: transform {name}, seed {seed}",
        epochs=tuple(_called(epoch, counters[epoch], recipe) for epoch in range(EPOCHS)),
        rows=tuple(
            Shown(
                name=train.classes[train.labels[row]],
                key=train.keys[row],
                evaluation=first[place],
                training=tuple(images[place] for images in training),
            )
            for place, row in enumerate(rows)
        ),
        notes=_notes(recipe, made, kept),
    )


def _pixels(
    images: ImageSet, look: Augmentation, rows: Sequence[int], epochs: Sequence[int], seed: int
) -> list[Tensor]:
    """Some images as epochs show them, uint8 ``(N, C, H, W)`` each."""
    found = []
    for drawn in shown(images, look, rows, epochs, seed=seed):
        if drawn.batch is None or drawn.skipped:
            failure = drawn.failure or (drawn.skipped[0][1], "zoo doctor says more")
            raise DataError(failure[0], hint=failure[1])
        found.append(drawn.batch.images)
    return found


def _called(epoch: int, counter: int, recipe: Recipe) -> str:
    name = f"epoch {epoch + 1}" + (f" as {counter + 1}" if counter != epoch else "")
    return name if epoch < recipe.optim.epochs else f"({name})"


def _notes(recipe: Recipe, made: Assembly, kept: int) -> tuple[str, ...]:
    epochs, notes = recipe.optim.epochs, []
    if mixes := recipe.data.batch_transforms:
        verb = "mixes" if len(mixes) == 1 else "mix"
        notes.append(f"{' + '.join(mixes)} {verb} whole batches of these: not in the picture")
    if kept and kept < epochs:
        parts = getattr(made.train, "windows", None) is not None
        how = ", in random parts of their maps that no picture shows" if parts else ""
        noun = "1 view of each image is" if kept == 1 else f"{kept} views of each image are"
        notes.append(f"{noun} kept and shown again{how}; --views fresh draws anew")
    if epochs < EPOCHS:
        ends = epochs_in_words(epochs)
        notes.append(f"the run ends after {ends}; in brackets, what a longer one would show")
    return tuple(notes)


def spread(images: ImageSet, most: int) -> list[int]:
    """Choose images that can be read, spread over the classes and within each.

    Args:
        images: The set.
        most: How many at most.

    Returns:
        Their indices, by class.

    Raises:
        DataError: One cannot be read and such images are not left out, or none can.
    """
    members: dict[int, list[int]] = {}
    for row, label in enumerate(images.labels):
        members.setdefault(label, []).append(row)
    labels = _evenly(sorted(members), most)
    found: list[int] = []
    for place, label in enumerate(labels):
        share = most // len(labels) + (place < most % len(labels))
        found += _readable(images, members[label], share)
    if not found:
        raise DataError(f"{images.name}: no image can be read", hint="zoo doctor says why")
    return found


def _readable(images: ImageSet, rows: Sequence[int], most: int) -> list[int]:
    """Rows spread over some; the next one stands in for one that cannot be read."""
    found: list[int] = []
    for start in _evenly(range(len(rows)), most):
        for row in rows[start:]:
            if row in found:
                continue
            try:
                images.load(row)
            except DataError:
                if images.on_bad == "error":
                    raise
                continue
            found.append(row)
            break
    return sorted(found)


def _evenly(values: Sequence[int], most: int) -> list[int]:
    count = min(most, len(values))
    return [values[place * len(values) // count] for place in range(count)]
