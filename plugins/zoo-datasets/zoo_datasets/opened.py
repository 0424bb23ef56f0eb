"""An opened data set: all its splits, training first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

from zoo.plugin import DataError
from zoo_datasets.images import Images

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from zoo_datasets.columns import Columns

_NOT_TRAINED_ON: Final = ("val", "valid", "validation", "dev", "test", "testing")


class Opened(NamedTuple):
    """A data set with all its splits.

    Attributes:
        splits: Name of a split -> its rows.
        what: What it is called.
        fingerprint: What changes with the content.
        folders: Where image files may lie that rows name.
        note: What is worth a line in the plan.
    """

    splits: Mapping[str, Any]
    what: str
    fingerprint: str
    folders: tuple[Path, ...]
    note: str

    def names(self) -> tuple[str, ...]:
        """The names of the splits, training first."""
        every = list(self.splits)
        first = [name for name in every if name == "train"]
        first = first or [name for name in every if name not in _NOT_TRAINED_ON][:1]
        return (*first, *(name for name in every if name not in first))

    def images(self, split: str, columns: Columns) -> Images:
        """One split.

        Args:
            split: Its name.
            columns: What the user said of its columns.

        Raises:
            DataError: There is no such split.
        """
        if split not in self.splits:
            raise DataError(
                f"{self.what} has no split {split!r}", hint=f"it has {', '.join(self.names())}"
            )
        return Images(
            self.splits[split],
            f"{self.what}, split {split}",
            columns,
            fingerprint=f"{self.fingerprint}:{split}",
            folders=self.folders,
            notes=(self.note,),
        )
