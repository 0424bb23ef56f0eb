"""What a named data set states, or is asked for want of it: labels, classes, keys, a fingerprint."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, overload

from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.core.specs import DatasetSpec
    from zoo.data.images import ImageSet

_SAMPLES: Final = 16


class Numbered(Sequence[str]):
    """Names ``prefix/0`` to ``prefix/N-1``, made when asked for.

    Args:
        prefix: What comes before the number.
        count: How many there are.
    """

    def __init__(self, prefix: str, count: int) -> None:
        self._prefix, self._count = prefix, count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, index: int) -> str: ...
    @overload
    def __getitem__(self, index: slice) -> list[str]: ...
    def __getitem__(self, index: int | slice) -> str | list[str]:
        """Give one name or several."""
        places = range(self._count)[index]
        if isinstance(places, range):
            return [f"{self._prefix}/{place}" for place in places]
        return f"{self._prefix}/{places}"


def notes_of(images: ImageSet) -> tuple[str, ...]:
    """What a named data set says of itself, one line each."""
    return tuple(getattr(getattr(images.reader, "dataset", None), "notes", ()))


def labels_of(dataset: Any, where: str) -> list[int]:
    """All labels of a data set; decodes every image only if it offers no list of them.

    Raises:
        DataError: Not one whole number per image.
    """
    for name in ("labels", "targets"):
        values = getattr(dataset, name, None)
        if values is not None and not callable(values):
            found = values.tolist() if hasattr(values, "tolist") else list(values)
            break
    else:
        found = [dataset[index][1] for index in range(len(dataset))]
    try:
        labels = [int(value) for value in found]
    except (TypeError, ValueError) as error:
        raise DataError(f"{where}: labels must be whole numbers: {error}") from error
    if len(labels) != len(dataset):
        raise DataError(f"{where}: {len(labels)} labels for {len(dataset)} images")
    if not labels:
        raise DataError(f"{where}: no images")
    return labels


def classes_of(dataset: Any, spec: DatasetSpec, labels: list[int]) -> tuple[str, ...]:
    """The names of its classes: its own, else the numbers.

    Args:
        dataset: The data set.
        spec: Its entry.
        labels: Its labels.
    """
    names = getattr(dataset, "classes", None)
    if names:
        return tuple(n if isinstance(n, str) else ", ".join(map(str, n)) for n in names)
    return tuple(str(label) for label in range(spec.classes or max(labels) + 1))


def fingerprint(
    spec: DatasetSpec, opened: dict[str, ImageSet], options: dict[str, Any]
) -> tuple[str, bool]:
    """A digest of a named data set: its own statement, its pixels, or a sample of them.

    Args:
        spec: Its entry.
        opened: Its splits.
        options: Its own options.

    Returns:
        32 hex digits, and whether they would be others if any image were.
    """
    whole = True
    said = sorted((key, value) for key, value in options.items() if key not in spec.paths)
    digest = hashlib.blake2b(f"{spec.qualified}\0{said}".encode(), digest_size=16)
    for role, images in opened.items():
        digest.update(f"\0{role}\0{len(images)}\0{images.classes}\0{list(images.labels)}".encode())
        reader = images.reader
        stated = getattr(getattr(reader, "dataset", None), "fingerprint", None)
        if isinstance(stated, str):
            digest.update(stated.encode())
            continue
        pixels = images.whole()
        if pixels is not None:
            digest.update(pixels.numpy().tobytes())
            continue
        step = max(1, len(images) // _SAMPLES)
        whole &= step == 1
        for index in range(0, len(images), step):
            digest.update(images.load(index).contiguous().numpy().tobytes())
    return digest.hexdigest(), whole
