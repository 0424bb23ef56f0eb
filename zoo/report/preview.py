"""``--preview FILE.png``: what training will be shown, written as one picture."""

from __future__ import annotations

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core import registry as registries
from zoo.core.request import request
from zoo.engine.preview import look_ahead
from zoo.report.sheet import draw
from zoo.report.target import check_picture, write_picture

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zoo.core.recipe import Recipe
    from zoo.core.registry import Registry
    from zoo.engine.preview import Preview


def preview(
    verb: str,
    model: str | None = None,
    *,
    file: str | Path,
    recipe: str | Path | None = None,
    set: Mapping[str, Any] | Iterable[str] = (),  # noqa: A002 - the flag's name
    **keywords: Any,
) -> Path:
    """Write a picture of what training will be shown, instead of training.

    Each row is a training image: as evaluation would show it, then as the first epochs will, to
    the pixel. Nothing else is written, and nothing is downloaded.

    Args:
        verb: ``finetune`` or ``train``.
        model: Model reference; may stand in the recipe file instead.
        file: The PNG file to make; one that is there already is not replaced.
        recipe: Recipe file.
        set: Recipe fields by dotted key, or ``KEY=VALUE`` texts.
        **keywords: As for :func:`zoo.fit`.

    Returns:
        The file.

    Raises:
        UsageError: There is a file of that name, or it is no name for a picture.
        ZooError: Whatever would keep the run from beginning.
    """
    target = Path(file)
    check_picture(target)
    known = registries.load()
    path = Path(recipe) if recipe is not None else None
    composed = request(verb, model, keywords, registry=known, file=path, sets=set)
    write_preview(composed.recipe, known, target)
    return target


def write_preview(recipe: Recipe, registry: Registry, path: Path) -> Preview:
    """Draw what a recipe will show its model, and write the picture.

    Args:
        recipe: A checked recipe.
        registry: Where its parts are.
        path: The PNG file to make.

    Raises:
        ZooError: As :func:`preview`.
    """
    found = look_ahead(recipe, registry)
    stream = io.BytesIO()
    draw(found).save(stream, "PNG")
    write_picture(path, stream.getvalue())
    return found
