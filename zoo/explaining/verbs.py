"""``zoo.explain`` and ``zoo.embed``: where a model looks, and what it takes for alike."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core import registry
from zoo.core.recipe import DevicePart
from zoo.data.scan import quote
from zoo.engine.start.loading import load_run
from zoo.errors import UsageError
from zoo.explaining import embeddings, looks
from zoo.explaining.target import check_file, check_image

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zoo.engine.start.loaded import Loaded
    from zoo.explaining.embeddings import Embeddings
    from zoo.explaining.looks import Look


def explain(
    model: str | Path | Loaded,
    images: Sequence[str | Path],
    *,
    label: str | None = None,
    layer: str | None = None,
    out: str | Path | None = None,
    device: str = "auto",
    on_bad_image: str = "error",
    runs: str = "runs",
    note: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Look]:
    """Show where in images a model finds what speaks for a class (Grad-CAM).

    Args:
        model: As for :func:`zoo.load`, or what it gave.
        images: Files and folders.
        label: Class to explain; default: the most likely one of each image.
        layer: Path of a module, or a stage's name; default: the deepest that gives maps.
        out: Folder for one picture an image; nothing in it is written over. Default: none.
        device: ``auto``, ``cpu``, ``cuda`` ...
        on_bad_image: ``error`` or ``skip``.
        runs: Folder that runs lie in.
        note: Told what should be known, one line each.
        progress: Called with images done and images in all.

    Raises:
        UnknownNameError: The model has no such class or layer.
        UsageError: No images were given, or no layer gives maps.
        DataError: Nothing there, or unreadable files.
    """
    if not images:
        raise UsageError("no images were given", hint="zoo.explain(run, ['cat.jpg', 'folder'])")
    wish: dict[str, Any] = {"on_bad_image": on_bad_image, "note": note, "progress": progress}
    wish |= {"label": label, "layer": layer, "out": None if out is None else Path(out)}
    return list(
        looks.look(_opened(model, runs), registry.load(), images, device=_place(device), **wish)
    )


def embed(
    model: str | Path | Loaded,
    images: Sequence[str | Path],
    *,
    out: str | Path | None = None,
    like: str | Path | None = None,
    top: int = 5,
    device: str = "auto",
    on_bad_image: str = "error",
    runs: str = "runs",
    note: Callable[[str], None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Embeddings:
    """Give images as vectors: what the model's last layer is given.

    Args:
        model: As for :func:`zoo.load`, or what it gave.
        images: Files and folders.
        out: A ``.safetensors`` or ``.csv`` file to write, which must not be there.
        like: An image; the others that are most like it are found.
        top: How many of those, at most.
        device: ``auto``, ``cpu``, ``cuda`` ...
        on_bad_image: ``error`` or ``skip``.
        runs: Folder that runs lie in.
        note: Told what should be known, one line each.
        progress: Called with images done and images in all.

    Raises:
        UsageError: No images were given, the file cannot be written, or the model has no head.
        DataError: Nothing there, or unreadable files.
    """
    if not images:
        raise UsageError("no images were given", hint="zoo.embed(run, ['cat.jpg', 'folder'])")
    if out is not None:
        check_file(Path(out))
    if like is not None:
        check_image(like)
    loaded, known, place = _opened(model, runs), registry.load(), _place(device)
    asked = None if like is None else embeddings.embed(loaded, known, [like], device=place)
    wish: dict[str, Any] = {"on_bad_image": on_bad_image, "note": note, "progress": progress}
    found = embeddings.embed(loaded, known, images, device=place, **wish)
    if asked is not None:
        nearest = found.like(asked.vectors[0], top, but=asked.paths[0])
        found = replace(found, nearest=nearest)
        if note is not None and top > 0 and not nearest:
            note(f"{quote(asked.paths[0])} is compared with nothing: no other image was given")
    if out is not None:
        embeddings.write(found, Path(out))
        found = replace(found, file=Path(out))
    return found


def _opened(model: str | Path | Loaded, runs: str) -> Loaded:
    if isinstance(model, str | Path):
        return load_run(str(model), registry.load(), runs=runs)
    return model


def _place(device: str) -> DevicePart:
    return DevicePart(device=device, precision="fp32")
