"""Where a run was started, so that its relative paths mean the same wherever it is resumed.

The recipe keeps paths as they were typed: it can be sent to somebody else. The folder in which
they were typed lies beside it, in ``origin.json``.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core import compose
from zoo.data.places import locate
from zoo.data.scan import quote
from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.core.recipe import Recipe
    from zoo.core.registry import Registry

ORIGIN_FILE = "origin.json"
_MAGIC = re.compile(r"[*?\[{]")


def describe() -> str:
    """The text of the file that says where this process is."""
    return json.dumps({"folder": str(Path.cwd())}) + "\n"


def started_in(run: Path) -> Path | None:
    """The folder in which a run was started; ``None`` if it does not say."""
    try:
        return Path(json.loads((run / ORIGIN_FILE).read_bytes())["folder"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def located(recipe: Recipe, run: Path, registry: Registry) -> Recipe:
    """A run's recipe with its relative paths as they were meant.

    A path that is not where the run was started is looked for here: a project may have moved.

    Args:
        recipe: The run's own recipe; it stays what the run is described by.
        run: The run folder.
        registry: Where named data sets are.

    Raises:
        DataError: The data is in neither place.
    """
    start = started_in(run)
    if start is None or start == Path.cwd():
        return recipe
    data, model = recipe.data, recipe.model
    found: dict[str, Any] = {}
    if data.source is not None and not _named(data.source, registry):
        found["data.source"] = _place(data.source, start)
        if data.val is not None:
            found["data.val"] = _place(data.val, start)
    elif data.source is not None and data.options:
        spec = registry.find("dataset", locate(data.source, registry)[0])
        paths = getattr(spec, "paths", ())
        found["data.options"] = {
            key: _pattern(value, start) if key in paths else value
            for key, value in data.options.items()
        }
    if data.root is not None:
        found["data.root"] = _either(data.root, start)
    for key, text in (("model.name", model.name), ("model.weights", model.weights)):
        if text.startswith(("file:", "run:")):
            found[key] = _trained(text, start, run.parent)
    if recipe.loss.teacher is not None:
        found["loss.teacher"] = _trained(recipe.loss.teacher, start, run.parent)
    return compose.changed(recipe, found) if found else recipe


def _trained(text: str, start: Path, runs: Path) -> str:
    """A run or a checkpoint where the run was started, or beside the run; else as it is."""
    source, _, rest = text.partition(":")
    if source == "file":
        return f"file:{_either(rest, start)}"
    name = rest if source == "run" else text
    beside = runs.resolve() / name
    if (beside / "recipe.toml").is_file():
        return f"run:{beside}"
    return str(start / name) if (start / name).exists() else text


def _named(source: str, registry: Registry) -> bool:
    """Whether a source is a data set's name rather than a path."""
    try:
        return bool(locate(source, registry)[0])
    except DataError:  # there is no such folder here
        return False


def _place(text: str, start: Path) -> str:
    path = _either(text, start)
    if not Path(path).exists():
        where = (
            "" if Path(path).is_absolute() else f" in {start}, where the run was started, nor here"
        )
        raise DataError(
            f"the data of the run is gone: there is no {quote(text)}{where}",
            hint="bring it back, or zoo resume in a folder from which the same path leads to it",
        )
    return path


def _pattern(value: object, start: Path) -> object:
    """A path or a pattern where the run was started, if its fixed part is there; else as it is."""
    if not isinstance(value, str) or not value or Path(value).expanduser().is_absolute():
        return value
    fixed = _MAGIC.split(value, maxsplit=1)[0]
    folder = fixed if fixed == value else fixed.rpartition("/")[0]
    return str(start / value) if (start / folder).exists() else value


def _either(text: str, start: Path) -> str:
    """A path where the run was started, if it is there; else as it is."""
    path = Path(text).expanduser()
    return str(start / path) if (start / path).exists() else str(path)
