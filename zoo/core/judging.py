"""From what a person asks of an evaluation to the parts of a recipe that it needs. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from zoo.core import compose
from zoo.core.recipe import Recipe

if TYPE_CHECKING:
    from collections.abc import Mapping


_READ: Final = ("batch_size", "on_bad_image")
"""How images are read, whichever they are."""


def judging(own: Mapping[str, Any], device: str, given: Mapping[str, Any]) -> dict[str, Any]:
    """The keywords of :func:`zoo.engine.judging.judge.judge` that say where, on what and how.

    Args:
        own: The run's recipe as its checkpoint keeps it; its precision is the default, and other
            images are read as its own were.
        device: ``auto``, ``cpu``, ``cuda`` ...
        given: Fields of a recipe by dotted key, ``data.source`` among them; ``None`` = as in the
            run.

    Returns:
        ``data`` (``None`` = the run's own), ``device`` and ``changes``.

    Raises:
        UsageError: A value is none of those that its field takes.
    """
    said = {key: value for key, value in given.items() if value is not None}
    source = said.pop("data.source", None)
    precision = str(own.get("device", {}).get("precision", "auto"))
    place = {"device.precision": precision, **said, "device.device": device}
    where = {key: value for key, value in place.items() if key.startswith("device.")}
    data = None
    if source is not None:
        read = {f"data.{key}": own["data"][key] for key in _READ if key in own.get("data", {})}
        data = compose.changed(Recipe(), {**read, **said, "data.source": str(source)}).data
    return {"data": data, "device": compose.changed(Recipe(), where).device, "changes": said}
