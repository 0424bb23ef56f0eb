"""One split as zoo wants it: labels, names and keys at hand, image files as they are."""

from __future__ import annotations

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

from zoo_datasets.columns import image_column, label_column, labels_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo_datasets.columns import Columns


@final
class Images:
    """Images and labels of one split, read by index out of memory-mapped files.

    Args:
        rows: The split, as the library gives it.
        where: What it is called in messages.
        columns: What the user said of its columns.
        fingerprint: What changes with the content.
        folders: Where image files may lie that the rows name instead of holding them, the first
            being that of the data set.
        notes: What is worth a line in the plan.

    Attributes:
        labels: Label of each image, -1 where there is none.
        classes: Names of the classes.
        keys: A name for each image, or ``None`` where the data gives no unique ones.
        fingerprint: What changes with the content, or if other columns are taken.
        notes: As given.

    Raises:
        DataError: A column is missing or ambiguous, or only some labels are there.
    """

    def __init__(
        self,
        rows: Any,
        where: str,
        columns: Columns,
        *,
        fingerprint: str,
        folders: Sequence[Path],
        notes: tuple[str, ...] = (),
    ) -> None:
        import datasets

        self._column = image_column(rows.features, columns.image, where)
        path = label_column(rows.features, columns.label, where)
        self._folders = tuple(os.path.realpath(folder) for folder in folders)
        self.labels, self.classes = labels_of(*_inside(rows, path), where, columns.names)
        self.notes = notes
        self.fingerprint = f"{fingerprint}:{self._column}:{path}"
        if isinstance(rows.features[self._column], datasets.Image):
            rows = rows.cast_column(self._column, datasets.Image(decode=False))
        self.keys = self._keys(rows)
        self._rows = rows.select_columns([self._column])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Give image and label, the image by Pillow; zoo itself takes :meth:`encoded`."""
        from PIL import Image

        return Image.open(io.BytesIO(self.encoded(index))), self.labels[index]

    def encoded(self, index: int) -> bytes:
        """Give an image's file as it is.

        Raises:
            OSError: There is none, or it lies outside of the data set.
        """
        value = self._rows[index][self._column]
        found = value.get("bytes") if isinstance(value, dict) else value
        if found:
            return bytes(found)
        name = value.get("path") if isinstance(value, dict) else None
        if not name:
            raise OSError("the row holds no image")
        return Path(self._place(name)).read_bytes()

    def _place(self, name: str) -> str:
        """Where a file lies that a row names; nothing else on this machine, or on another, is read."""
        path = os.path.normpath(os.path.join(self._folders[0], name))  # noqa: PTH118 - a row's text
        if "://" in name or not any(_below(path, folder) for folder in self._folders):
            raise OSError(f"its row names a file outside of the data set: {name}")
        return path

    def _keys(self, rows: Any) -> list[str] | None:
        """Names that do not depend on where files or caches lie."""
        import pyarrow.compute as pc

        if "__key__" in rows.column_names:
            return _unique(_arrow(rows, "__key__").to_pylist())
        column = _arrow(rows, self._column)
        if "path" not in [field.name for field in getattr(column.type, "fields", [])]:
            return None
        names = pc.struct_field(column, "path").to_pylist()
        return _unique([name and self._short(name) for name in names])

    def _short(self, name: str) -> str | None:
        """A path inside the data set; ``None`` if it is another machine's."""
        if not os.path.isabs(name):  # noqa: PTH117 - a row's text
            return name
        inside = (folder for folder in self._folders if _below(name, folder))
        return next((os.path.relpath(name, folder) for folder in inside), None)


def _below(path: str, folder: str) -> bool:
    return os.path.commonpath([folder, path]) == folder


def _unique(names: list[str | None]) -> list[str] | None:
    kept = [name for name in names if isinstance(name, str) and name]
    return kept if len(set(kept)) == len(names) else None


def _arrow(rows: Any, column: str) -> Any:
    """A column as an arrow array, not copied where that can be avoided."""
    return rows.select_columns([column]).with_format("arrow")[:].column(column)


def _inside(rows: Any, path: str) -> tuple[Any, Any]:
    """A column by its dotted name, and its type."""
    import pyarrow.compute as pc

    parts = [path] if path in rows.features else path.split(".")
    column, kind = _arrow(rows, parts[0]), rows.features[parts[0]]
    for part in parts[1:]:
        column, kind = pc.struct_field(column, part), kind[part]
    return column, kind
