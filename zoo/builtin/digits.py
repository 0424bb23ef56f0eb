"""1,797 real handwritten digits that ship with zoo: 8 x 8 grey pixels, ten classes, no download.

E. Alpaydin and C. Kaynak, Optical Recognition of Handwritten Digits, UCI Machine Learning
Repository; CC BY 4.0 as stated by UCI, not confirmed here (``digits.txt`` beside this file).
"""

from __future__ import annotations

import gzip
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from zoo.plugin import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    import numpy as np
    from numpy.typing import NDArray

SPLITS: Final = {"train": range(1400), "test": range(1400, 1797)}
_SIDE: Final = 8
_RECORD: Final = _SIDE * _SIDE + 1
_COUNT: Final = 1797
_SCALE: Final = bytes(min(value, 16) * 255 // 16 for value in range(256))


@cache
def _records() -> bytes:
    path = Path(__file__).with_name("digits.gz")
    try:
        data = gzip.decompress(path.read_bytes())
    except (OSError, EOFError) as error:
        raise DataError(
            f"{path} is missing or damaged: {error}", hint="install zoo-registry again"
        ) from error
    if len(data) != _COUNT * _RECORD:
        raise DataError(f"{path} is damaged", hint="install zoo-registry again")
    return data


class Digits:
    """The digits, map-style: ``(8, 8)`` uint8 arrays (0 to 255) and labels 0 to 9.

    Args:
        root: Not used; the images come with the package.
        split: ``train`` (the first 1,400) or ``test`` (the last 397).
        transform: Applied to the array if given.
        download: Not used; nothing is downloaded.

    Raises:
        UsageError: Unknown split.
        DataError: The packaged file is damaged.
    """

    def __init__(
        self,
        root: str | None = None,
        split: str = "train",
        transform: Callable[[Any], Any] | None = None,
        download: bool = False,
    ) -> None:
        del root, download
        if split not in SPLITS:
            raise UsageError(f"digits has no split {split!r}", hint="it has train and test")
        rows, records = SPLITS[split], _records()
        self.transform = transform
        self.classes = tuple("0123456789")
        self.labels = [records[row * _RECORD + _RECORD - 1] for row in rows]
        self.keys = [f"digits/{split}/{row}" for row in rows]
        self.fingerprint = f"digits-1:{split}"
        self._rows = rows

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Give image ``(8, 8)`` and label."""
        image: Any = self.images[index]
        return (self.transform(image) if self.transform else image), self.labels[index]

    @property
    def images(self) -> NDArray[np.uint8]:
        """All images of the split: uint8 ``(N, 8, 8)``."""
        import numpy as np

        start, stop = self._rows.start * _RECORD, self._rows.stop * _RECORD
        values = _records()[start:stop].translate(_SCALE)
        table = np.frombuffer(values, np.uint8).reshape(-1, _RECORD)
        return table[:, :-1].reshape(-1, _SIDE, _SIDE)
