"""Which split of a named data set trains, validates and tests. No torch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from zoo.data.apart import refuse_fold
from zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.core.recipe import DataPart
    from zoo.core.specs import DatasetSpec

_VALIDATION: Final = ("val", "valid", "validation", "dev", "test")
_FOLDABLE: Final = "leave --fold out, or fold images of your own: --data FOLDER"
_ALONE: Final = "leave --fold out, or name the files of the training images alone"


def pick(splits: Sequence[str], wanted: str) -> str | None:
    """The data set's own name of a split that is to be judged; ``None`` if it has none.

    Args:
        splits: The names of its splits, training first.
        wanted: One of them, or ``val`` for whatever validates.
    """
    if wanted in splits:
        return wanted
    if wanted != "val":
        return None
    return next((name for name in _VALIDATION if name in splits), splits[-1])


def choose(spec: DatasetSpec, data: DataPart, splits: Sequence[str]) -> dict[str, str]:
    """Role -> the data set's own name of the split.

    Args:
        spec: Its entry.
        data: Names the split that validates, or a fold, if either was asked for.
        splits: The names of its splits, training first.

    Raises:
        DataError: It has no such split, or none to train on.
        UsageError: A fold was asked for, and it has validation images.
    """
    chosen, wanted = {"train": splits[0]}, data.val
    if splits[0] in _VALIDATION:
        raise DataError(
            f"data set {spec.qualified} has nothing to train on: it has {', '.join(splits)}",
            hint=f"zoo eval RUN --data {spec.qualified} --split {splits[0]} judges a model on it",
        )
    if wanted is not None:
        if wanted not in splits:
            raise DataError(
                f"data set {spec.qualified} has no split {wanted!r}",
                hint=f"it has {', '.join(splits)}",
            )
        chosen["val"] = wanted
    elif found := [name for name in _VALIDATION if name in splits[1:]]:
        chosen["val"] = found[0]
    if data.fold is not None and chosen.get("val") == "test" and wanted is None:
        del chosen["val"]
    if "val" in chosen:
        where = f"{spec.qualified} has a split {chosen['val']}"
        refuse_fold(data, where, _FOLDABLE if spec.splits else _ALONE)
    if "test" in splits and "test" not in chosen.values():
        chosen["test"] = "test"
    return chosen
