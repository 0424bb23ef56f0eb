"""Images without labels, shown to a trained model as they were in evaluation."""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from zoo.core import compose
from zoo.core.recipe import DevicePart, Recipe
from zoo.data.images import ImageSet
from zoo.data.loaders import Loader, make_loader
from zoo.data.shrink import shrunk
from zoo.data.sources import open_images
from zoo.engine.cores import usable_cores
from zoo.engine.feed import Feed
from zoo.engine.parts import is_convolutional
from zoo.engine.place import Place, choose, settle
from zoo.engine.transforms import image_transform
from zoo.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from zoo.core.registry import Registry
    from zoo.engine.start.loaded import Loaded


@dataclass(frozen=True, slots=True)
class Showing:
    """Images on their way to a model.

    Attributes:
        images: What was found; keys are paths.
        loader: Gives them in batches, in the order that they were named.
        feed: Moves and normalises a batch.
        place: Where it is moved to.
        facts: What is worth saying of the files, one line each.
    """

    images: ImageSet
    loader: Loader
    feed: Feed
    place: Place
    facts: tuple[str, ...]

    @property
    def notes(self) -> tuple[str, ...]:
        """Which images are left out and what is changed on reading; complete once all are read."""
        return (*self.facts, *self.loader.notes)


def show(
    loaded: Loaded,
    registry: Registry,
    paths: Sequence[str | Path],
    *,
    device: DevicePart | None = None,
    on_bad_image: str = "error",
) -> Showing:
    """Open images for a model.

    Args:
        loaded: The model.
        registry: Where the transform is.
        paths: Files and folders.
        device: Where to compute; default: as ``auto`` says.
        on_bad_image: ``error`` or ``skip``.

    Raises:
        DataError: Nothing there, or unreadable files.
        DeviceError: The device is not there.
    """
    opened = open_images(paths, channels=loaded.input.size[0], on_bad_image=on_bad_image)
    recipe = recipe_of(loaded)
    part = device or DevicePart(precision="fp32")
    place = choose(part, conv=is_convolutional(loaded.model))
    settle(place)
    images = shrunk(opened.images, recipe.data.shrink)
    loader = eval_loader(recipe, registry, loaded, images, place)
    return Showing(opened.images, loader, Feed(place, loaded.input), place, opened.notes)


def eval_loader(
    recipe: Recipe, registry: Registry, loaded: Loaded, images: ImageSet, place: Place
) -> Loader:
    """Give images as they are shown in evaluation, batch by batch.

    Args:
        recipe: How they are read and transformed.
        registry: Where the transform is.
        loaded: The model.
        images: Which.
        place: Where it computes.
    """
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


def recipe_of(loaded: Loaded) -> Recipe:
    """The recipe of the run that a model is of; the usual one if it was not trained here."""
    return compose.from_dict(loaded.info.recipe) if loaded.info.recipe else Recipe()


def moved(loaded: Loaded, place: Place) -> torch.nn.Module:
    """The model itself, where it is to compute."""
    if place.channels_last:
        return loaded.model.to(place.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
    return loaded.model.to(place.device)


def class_name(loaded: Loaded, label: int) -> str:
    """What an output is called: its class, or its number where nobody states names."""
    return loaded.classes[label] if label < len(loaded.classes) else str(label)


def folder_of(key: str) -> str:
    """The folder that an image was found in; one that is a link belongs where the link lies."""
    return Path(os.path.abspath(key)).parent.name  # noqa: PTH100 - resolve() follows the link


@contextlib.contextmanager
def explained(loaded: Loaded) -> Iterator[None]:
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
