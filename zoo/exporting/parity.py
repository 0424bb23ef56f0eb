"""A trained run to a file, compared on images of its own validation set, from file to label."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from zoo.core import compose
from zoo.core.recipe import DevicePart, Recipe
from zoo.data.decode import read_image
from zoo.data.images import FileReader
from zoo.data.sources import open_data
from zoo.engine.feed import Feed
from zoo.engine.place import choose
from zoo.engine.transforms import image_transform
from zoo.errors import CheckpointError, DataError, UsageError
from zoo.exporting.agreement import Agreement, Reading, agree
from zoo.exporting.artefact import open_artefact
from zoo.exporting.formats import ExportResult, write

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from zoo.core.registry import Registry
    from zoo.data.images import ImageSet
    from zoo.engine.start.loaded import Loaded


def export_run(
    loaded: Loaded,
    registry: Registry,
    format: str,  # noqa: A002 - the word that people type
    path: Path,
    *,
    tolerance: float = 1e-4,
    options: Mapping[str, Any] | None = None,
    check: int = 32,
) -> ExportResult:
    """Write a run's model, and keep the file only if it gives the same labels for real images.

    Args:
        loaded: The model with its checkpoint's record.
        registry: Where its data and transforms are.
        format: Exporter by name.
        path: File or folder.
        tolerance: Largest difference allowed, as a share of the largest output.
        options: Options of the exporter.
        check: Number of validation images that are classified both ways; 0 = none.

    Raises:
        VerificationError: The file computes something else, or gives other labels.
        UsageError: Unknown format or option, packages missing, or the file is a checkpoint.
    """
    with tempfile.TemporaryDirectory(prefix="zoo-export-") as folder:
        images, note = validation_files(loaded, registry, check, Path(folder))

        def confirm(staged: Path) -> Agreement | str:
            if not images:
                return note
            try:
                artefact = open_artefact(staged, model=loaded.model, format=format)
            except (CheckpointError, UsageError) as error:
                return f"not compared on images: {error.message}"
            ours = own_way(loaded, registry)
            return agree(ours, artefact.read, images, name=path.name)

        return write(
            loaded.model,
            format,
            path,
            info=loaded.info,
            source=loaded.path,
            tolerance=tolerance,
            options=options,
            confirm=confirm,
        )


def own_way(loaded: Loaded, registry: Registry) -> Callable[[Path], Reading]:
    """Zoo's own way from an image file to a label: its reader, transform, feed and model."""
    recipe = _recipe(loaded)
    transform = image_transform(recipe, registry, loaded.input, train=False)
    place = choose(DevicePart(device="cpu", precision="fp32", channels_last=False), conv=False)
    feed = Feed(place, loaded.input)
    model = loaded.model.cpu().eval()

    def read(path: Path) -> Reading:
        image = transform(read_image(str(path), loaded.input.size[0]))
        with torch.inference_mode():
            outputs = model(feed.images(image[None]))[0]
        best = int(outputs.argmax())
        label = loaded.classes[best] if best < len(loaded.classes) else str(best)
        return Reading(label, outputs)

    return read


def validation_files(
    loaded: Loaded, registry: Registry, count: int, folder: Path
) -> tuple[Sequence[Path], str]:
    """Image files of the run's validation set, evenly spread; others are written as PNG.

    Args:
        loaded: The model with its checkpoint's record.
        registry: Where its data is.
        count: How many at most.
        folder: Where images that lie in no file of their own are written.

    Returns:
        The files, and why there are none if there are none.
    """
    if count < 1:
        return (), "not compared on images, as asked"
    recipe = _recipe(loaded)
    if not loaded.info.recipe:
        return (), "not compared on images: the checkpoint does not say what it was trained on"
    try:
        splits = open_data(
            recipe.data,
            registry=registry,
            classes=len(loaded.classes) or None,
            channels=loaded.input.size[0],
            seed=recipe.device.seed,
        )
    except (DataError, UsageError) as error:
        return (), f"not compared on images: {error.message}"
    total = len(splits.val)
    step = max(1, total // count)
    chosen = list(range(0, total, step))[:count]
    return [_as_file(splits.val, index, folder) for index in chosen], "no validation images"


def _as_file(images: ImageSet, index: int, folder: Path) -> Path:
    if isinstance(images.reader, FileReader):
        row = images.rows[index] if images.rows is not None else index
        return Path(images.reader.paths[row])
    from torchvision.transforms.v2.functional import to_pil_image

    path = folder / f"{index}.png"
    to_pil_image(images.load(index)).save(path)
    return path


def _recipe(loaded: Loaded) -> Recipe:
    return compose.from_dict(loaded.info.recipe) if loaded.info.recipe else Recipe()
