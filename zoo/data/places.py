"""Where images are to be: what a data set's name or a path means, and whether there is anything.

Imports no torch, so that a slip is reported at once.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from zoo.core import names
from zoo.core.specs import DatasetSpec
from zoo.data import folders
from zoo.data.scan import check_folder, quote
from zoo.errors import DataError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.core.recipe import DataPart
    from zoo.core.registry import Registry

DEFAULT_FOLDER: Final = "data"
"""Where images are looked for if nothing is said."""


def locate(source: str, registry: Registry) -> tuple[str, Path]:
    """Tell names from paths; a name of the registry wins over a folder of the same name.

    Args:
        source: What was given as ``--data``.
        registry: Where named data sets are found.

    Returns:
        The qualified name, or an empty string; and the path that it would be otherwise.

    Raises:
        DataError: Neither a folder nor a data set.
    """
    path = Path(source).expanduser()
    bare = not source.startswith((".", "~")) and not path.is_absolute()
    if bare and path.suffix.lower() not in folders.TABLES:
        try:
            spec = registry.find("dataset", source)
            return spec.qualified, path
        except UnknownNameError as error:
            if not path.exists() and "/" not in source:
                raise DataError(
                    f"no folder and no data set called {quote(source)}",
                    hint=names.did_you_mean(error.suggestions)
                    or "--data FOLDER, or a name of zoo list --kind dataset",
                ) from error
        except UsageError:
            if not path.exists() and "/" not in source:
                raise
    return "", path


def check_there(data: DataPart, registry: Registry) -> None:
    """Make sure that there is something at the places that a recipe names; needs no torch.

    What is there is looked at when it is opened; that folders and data sets with validation images
    have no folds is said here already.

    Raises:
        DataError: Neither a data set of that name nor a folder or a table.
        UsageError: A fold was asked for of what has validation images.
    """
    if data.source is None:
        return
    name, path = locate(data.source, registry)
    given = {"--data": path} | ({"--val": Path(data.val).expanduser()} if data.val else {})
    for flag, place in ({} if name else given).items():
        if not (place.is_file() and place.suffix.lower() in folders.TABLES):
            check_folder(place, flag)
    if data.fold is not None:
        if name:
            from zoo.data.roles import choose

            spec = registry.find("dataset", name)
            assert isinstance(spec, DatasetSpec)
            if spec.splits:  # else they are known when it is opened
                choose(spec, data, spec.splits)
        elif path.is_dir():
            folders.check_fold(data, path)


def check_paths(paths: Sequence[str | Path]) -> None:
    """Make sure that there is a file or a folder at each path; needs no torch.

    Raises:
        DataError: There is nothing at one.
    """
    for given in map(Path, paths):
        if not (given.is_dir() or given.is_file()):
            raise DataError(f"nothing at {quote(str(given))}", hint="give image files or folders")
