"""Data sets of the introductions, read in the layout that they are published in."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image
from torch.utils.data import ConcatDataset, Dataset

from zoo.plugin import DataError

Transform = Callable[[Image.Image], Any]
_IMAGES = {".jpg", ".jpeg", ".png", ".bmp", ".webp"}


class ImageFiles(Dataset[tuple[Any, int]]):
    """Image files with a label each.

    Args:
        files: Paths.
        targets: Class numbers, one a file.
        classes: Class names in the order of the numbers.
        transform: Applied to the RGB image.
    """

    def __init__(
        self,
        files: list[Path],
        targets: list[int],
        classes: tuple[str, ...],
        transform: Transform | None = None,
    ) -> None:
        self.files = files
        self.targets = targets
        self.classes = classes
        self.transform = transform

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        with Image.open(self.files[index]) as file:
            image = file.convert("RGB")
        return (self.transform(image) if self.transform else image), self.targets[index]


def cats_dogs(
    root: str | Path,
    split: str = "train",
    transform: Transform | None = None,
    download: bool = False,
    every: int = 5,
) -> ImageFiles:
    """Cats and dogs in one flat folder: ``train/cat.0.jpg``, ``train/dog.0.jpg``, ...

    The published test images have no labels, so every fifth image of each kind is ``val``.

    Args:
        root: Folder that holds ``train/``.
        split: ``train`` or ``val``.
        transform: Applied to the RGB image.
        download: Refused: the data set has to be fetched by hand.
        every: One image in this many is held out.

    Raises:
        DataError: Nothing is there, or a file's name is of no known kind.
    """
    folder = Path(root) / "train"
    _by_hand(folder, download, "https://www.kaggle.com/c/dogs-vs-cats/data")
    classes = ("cat", "dog")
    files: list[Path] = []
    targets: list[int] = []
    found = sorted(_images(folder), key=lambda path: _number(path, classes))
    for label, name in enumerate(classes):
        own = [path for path in found if path.name.partition(".")[0] == name]
        kept = [p for i, p in enumerate(own) if (i % every == every - 1) == (split == "val")]
        files += kept
        targets += [label] * len(kept)
    return ImageFiles(files, targets, classes, transform)


def _number(path: Path, classes: tuple[str, ...]) -> tuple[str, int]:
    """Sort key of ``cat.12.jpg``.

    Raises:
        DataError: The name has another form.
    """
    kind, _, number = path.stem.partition(".")
    if kind not in classes or not number.isdigit():
        raise DataError(
            f"{path} is not named like cat.12.jpg or dog.12.jpg",
            hint="folders of one class each need no plugin: --data FOLDER",
        )
    return kind, int(number)


class Sum(ConcatDataset[tuple[Any, int]]):
    """The sum of data sets, with one list of classes and of targets.

    Args:
        parts: Data sets whose targets count the same classes.
    """

    def __init__(self, parts: list[ImageFiles]) -> None:
        super().__init__(parts)
        self.classes = parts[0].classes
        self.files = [file for part in parts for file in part.files]
        self.targets = [target for part in parts for target in part.targets]


def one_kind(
    folder: Path, classes: tuple[str, ...], transform: Transform | None = None
) -> ImageFiles:
    """All images of one folder; its name is their class.

    Args:
        folder: ``.../ants``.
        classes: All class names.
        transform: Applied to the RGB image.
    """
    files = _images(folder)
    return ImageFiles(files, [classes.index(folder.name)] * len(files), classes, transform)


def ants_bees(
    root: str | Path,
    split: str = "train",
    transform: Transform | None = None,
    download: bool = False,
) -> Sum:
    """Ants and bees as the sum of two data sets: ``train/ants``, ``train/bees``, ``val/...``.

    Args:
        root: Folder that holds ``train/`` and ``val/``.
        split: ``train`` or ``val``.
        transform: Applied to the RGB image.
        download: Refused: the data set has to be fetched by hand.

    Raises:
        DataError: Nothing is there.
    """
    folder = Path(root) / split
    page = "https://download.pytorch.org/tutorial/hymenoptera_data.zip"
    classes = ("ants", "bees")
    for name in classes:
        _by_hand(folder / name, download, page)
    return Sum([one_kind(folder / name, classes, transform) for name in classes])


def _images(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _IMAGES)


def _by_hand(folder: Path, download: bool, page: str) -> None:
    if not folder.is_dir() or not _images(folder):
        reason = "it cannot be downloaded without a login or a licence" if download else ""
        raise DataError(
            f"no images in {folder}" + (f"; {reason}" if reason else ""),
            hint=f"fetch it from {page} and unpack it there",
        )
