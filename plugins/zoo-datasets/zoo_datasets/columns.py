"""Which column holds the images and which the labels, and what the labels are called."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from zoo.plugin import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

_IMAGES: Final = ("image", "images", "img", "picture", "photo", "jpg", "jpeg", "png", "webp")
_LABELS: Final = ("label", "labels", "class", "target", "category", "cls")
"""What such columns are called where their type does not say it, in any case."""


class Columns(NamedTuple):
    """What the user said of a data set's columns.

    Attributes:
        image: The column of the images; empty = find it.
        label: The column of the labels; empty = find it.
        names: Names of the classes, where the column holds their numbers; empty = as there.
    """

    image: str = ""
    label: str = ""
    names: tuple[str, ...] = ()

    @classmethod
    def of(cls, image: str, label: str, names: str | Sequence[str]) -> Columns:
        """Make one of what was typed.

        Args:
            image: A column.
            label: A column.
            names: Names with commas between, or a text file of one name a line.

        Raises:
            DataError: The file cannot be read.
        """
        listed = names.split(",") if isinstance(names, str) else [str(name) for name in names]
        if isinstance(names, str) and Path(names).suffix and len(listed) == 1:
            try:
                listed = Path(names).expanduser().read_text("utf-8").splitlines()
            except (OSError, UnicodeDecodeError) as error:
                raise DataError(
                    f"cannot read the names of the classes: {error}",
                    hint="--data-option names=classes.txt (one a line), or names=cat,dog",
                ) from error
        kept = tuple(name.strip() for name in listed if name.strip())
        return cls(str(image), str(label), kept)


def image_column(features: Any, wanted: str, where: str) -> str:
    """The column of the images: the one whose type says so, else one that is called like it.

    Args:
        features: The library's description of the columns.
        wanted: The column that was asked for; empty = find it.
        where: What the data set is called.

    Raises:
        DataError: There is no such column, none, or several.
    """
    import datasets

    typed: list[str] = [n for n, kind in features.items() if isinstance(kind, datasets.Image)]
    plain: list[str] = [name for name, kind in features.items() if _holds_bytes(kind)]
    if wanted:
        if wanted in typed or wanted in plain:
            return wanted
        raise _unclear(features, where, f"column {wanted!r} holds no images", "image", typed)
    called = [name for name in plain if name.lower() in _IMAGES]
    found = typed or called
    if len(found) == 1:
        return found[0]
    what = "several columns hold images" if found else "no column holds images"
    raise _unclear(features, where, what, "image", found)


def _holds_bytes(kind: Any) -> bool:
    """Whether a column may hold image files: bytes, or bytes beside a path."""
    inner = kind.get("bytes") if isinstance(kind, dict) else kind
    return getattr(inner, "dtype", "") in ("binary", "large_binary")


def label_column(features: Any, wanted: str, where: str) -> str:
    """The column of the labels, dotted where it lies inside another.

    Args:
        features: The library's description of the columns.
        wanted: The column that was asked for; empty = find it.
        where: What the data set is called.

    Raises:
        DataError: There is no such column, none, or several.
    """
    import datasets

    every = dict(leaves(features))
    usable = {name: kind for name, kind in every.items() if _is_label(kind)}
    if wanted:
        if wanted in usable:
            return wanted
        is_there = wanted in every or wanted in features
        what = f"column {wanted!r} holds no labels" if is_there else f"no column {wanted!r}"
        raise _unclear(features, where, what, "label", list(usable))
    typed = [name for name, kind in usable.items() if isinstance(kind, datasets.ClassLabel)]
    called = [name for name in usable if name.lower() in _LABELS]
    found = typed or called
    if len(found) > 1:
        found = [name for name in found if name.lower() in _LABELS[:2]] or found
    if len(found) == 1:
        return found[0]
    what = "several columns may be the labels" if found else "no column is called like a label"
    raise _unclear(features, where, what, "label", found or list(usable))


def leaves(features: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Every column by its dotted name, those inside others too."""
    for name, kind in features.items():
        if isinstance(kind, dict):
            yield from leaves(kind, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", kind


def _is_label(kind: Any) -> bool:
    dtype = str(getattr(kind, "dtype", ""))
    return dtype in ("string", "large_string", "bool") or dtype.startswith(("int", "uint"))


def _unclear(features: Any, where: str, what: str, option: str, names: list[str]) -> DataError:
    columns = ", ".join(f"{name} ({_words(kind)})" for name, kind in features.items())
    like = next((name for name in names if not name.startswith("__")), "NAME")
    return DataError(
        f"{where}: {what}; its columns: {columns}", hint=f"--data-option {option}={like}"
    )


def _words(kind: Any) -> str:
    """A column's type in a word or two."""
    names = getattr(kind, "names", None)
    if names:
        return f"{len(names)} classes"
    if isinstance(kind, dict):
        return f"holds {', '.join(kind)}"
    if type(kind).__name__ == "Value":
        return str(kind.dtype)
    return type(kind).__name__.lower()


def labels_of(
    column: Any, kind: Any, where: str, names: tuple[str, ...] = ()
) -> tuple[list[int], tuple[str, ...]]:
    """Labels as numbers, -1 where there is none, and the names of the classes.

    Names are those of the column's type; else the texts that occur, sorted; else the numbers that
    occur, as text, in the order of the numbers.

    Args:
        column: An arrow array of the column's values.
        kind: The column's type.
        where: What the split is called.
        names: Names of the classes; empty = as the column says.

    Raises:
        DataError: Some images have a label and others have none, or a number has no name.
    """
    import pyarrow.compute as pc

    values = column.to_pylist()
    numbered = str(getattr(kind, "dtype", "")).startswith(("int", "uint"))
    if names and (not numbered or any(v is not None and v >= len(names) for v in values)):
        what = f"numbers up to {max(v for v in values if v is not None)}" if numbered else "texts"
        raise DataError(
            f"{where}: {len(names)} names of classes were given, and the labels are {what}",
            hint="--data-option names= takes a name for each number, from 0 on; or leave it out",
        )
    names = names or tuple(getattr(kind, "names", None) or ())
    if names:
        labels = [-1 if value is None else int(value) for value in values]
        classes = names
    else:
        known = [v for v in pc.unique(column).to_pylist() if v is not None and not _is_no(v)]
        order = sorted(known)
        place = {value: label for label, value in enumerate(order)}
        classes = tuple(str(v).lower() if isinstance(v, bool) else str(v) for v in order)
        labels = [place.get(value, -1) for value in values]
    none = labels.count(-1)
    if none and none < len(labels):
        raise DataError(
            f"{where}: {none} of {len(labels)} images have no label, first that of row "
            f"{labels.index(-1)}",
            hint="leave these rows out, or take another column: --data-option label=NAME",
        )
    return labels, classes


def _is_no(value: Any) -> bool:
    """Whether a value says that there is no label."""
    return value == "" or (isinstance(value, int) and not isinstance(value, bool) and value == -1)
