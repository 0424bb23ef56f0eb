"""torchvision's data sets by name, made to answer without decoding: labels, classes, pixels.

One target for all: ``torchvision_set(dataset="CIFAR10", root=, split=, ...)``. torchvision's
classes name their splits in three ways (``train=True``, ``split="train"``, none at all) and keep
their labels in five places; :data:`STYLES` says which. Archives are only ever unpacked by
torchvision, and only with ``download``.
"""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import torchvision.datasets

from zoo.plugin import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable


class Style(NamedTuple):
    """How a class of torchvision is called.

    Attributes:
        splits: Our name of a split -> keyword arguments that mean it.
        labels: Attribute that holds the labels, or pairs that end in one; dotted.
        pixels: Attribute that holds all pixels as one array; empty if there is none.
        channels_first: Whether that array is ``(N, C, H, W)``.
        files: Attribute that holds file names in the order of the disk, which is no order.
        downloads: Whether it takes ``download``.
    """

    splits: dict[str, dict[str, Any]]
    labels: str = "targets"
    pixels: str = ""
    downloads: bool = True
    channels_first: bool = False
    files: str = ""


def _flagged(labels: str = "targets", pixels: str = "data") -> Style:
    return Style({"train": {"train": True}, "test": {"train": False}}, labels, pixels)


def _named(*splits: str, labels: str, downloads: bool = True, **others: str) -> Style:
    names = {name: name for name in splits} | others
    return Style({ours: {"split": theirs} for ours, theirs in names.items()}, labels, "", downloads)


STYLES: Final[dict[str, Style]] = {
    "MNIST": _flagged(),
    "FashionMNIST": _flagged(),
    "KMNIST": _flagged(),
    "EMNIST": Style({"train": {"train": True}, "test": {"train": False}}, "targets", "data"),
    "QMNIST": Style({"train": {"what": "train"}, "test": {"what": "test"}}, "", "data"),
    "USPS": _flagged(),
    "CIFAR10": _flagged(),
    "CIFAR100": _flagged(),
    "SVHN": _named("train", "test", "extra", labels="labels")._replace(
        pixels="data", channels_first=True
    ),
    "STL10": _named("train", "test", labels="labels")._replace(pixels="data", channels_first=True),
    "SEMEION": Style({"train": {}}, "labels", "data"),
    "Flowers102": _named("train", "val", "test", labels="_labels"),
    "Food101": _named("train", "test", labels="_labels"),
    "DTD": _named("train", "val", "test", labels="_labels"),
    "FGVCAircraft": _named("train", "val", "test", "trainval", labels="_labels"),
    "OxfordIIITPet": _named("test", labels="_labels", train="trainval"),
    "GTSRB": _named("train", "test", labels="_samples"),
    "Country211": _named("train", "test", labels="targets", val="valid"),
    "RenderedSST2": _named("train", "val", "test", labels="_samples"),
    "Imagenette": _named("train", "val", labels="_samples"),
    "CLEVRClassification": _named("train", "val", labels="_labels"),
    "StanfordCars": _named("train", "test", labels="_samples", downloads=False),
    "ImageNet": _named("train", "val", labels="targets", downloads=False),
    "Places365": _named("val", labels="targets", train="train-standard"),
    "EuroSAT": Style({"train": {}}, "targets"),
    "SUN397": Style({"train": {}}, "_labels", files="_image_files"),
    "Caltech101": Style({"train": {}}, "y"),
    "Caltech256": Style({"train": {}}, "y"),
}
"""torchvision's class -> how it is called."""


class TorchvisionSet:
    """A data set of torchvision, map-style, with its labels and class names at hand.

    Args:
        dataset: The object that torchvision made.
        style: Where it keeps what.
        name: Its class, for messages and the fingerprint.
        split: Our name of the split.
    """

    def __init__(self, dataset: Any, style: Style, name: str, split: str) -> None:
        self._dataset = dataset
        self._rows = _rows(dataset, style)
        labels = _labels(dataset, style)
        self.labels = labels if self._rows is None else [labels[row] for row in self._rows]
        self.classes = _classes(dataset, self.labels)
        self.images = _pixels(dataset, style)
        if self.images is None:
            seen = ",".join(map(str, self.labels)).encode()
            digest = hashlib.blake2b(seen, digest_size=8).hexdigest()
            self.fingerprint = f"{name}-1:{split}:{len(self)}:{digest}"

    def __len__(self) -> int:
        return len(self._dataset)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        """Give image and label."""
        image, _ = self._dataset[index if self._rows is None else self._rows[index]]
        return image, self.labels[index]


def torchvision_set(
    root: str,
    split: str = "train",
    transform: Callable[[Any], Any] | None = None,
    download: bool = False,
    *,
    dataset: str,
    **options: Any,
) -> TorchvisionSet:
    """Open a data set of torchvision.

    Args:
        root: Folder in which data sets lie.
        split: Our name of the split (``train``, ``val``, ``test``).
        transform: Passed on.
        download: Let torchvision download and unpack it.
        dataset: torchvision's class (``CIFAR10``).
        **options: Passed on (``part`` of EMNIST means its ``split``).

    Raises:
        UsageError: Unknown class or split.
        DataError: Its files are not there, or not whole.
    """
    style = STYLES.get(dataset)
    if style is None:
        raise UsageError(
            f"torchvision set {dataset!r} is unknown", hint=f"known: {', '.join(STYLES)}"
        )
    if split not in style.splits:
        raise UsageError(
            f"{dataset} has no split {split!r}", hint=f"it has {', '.join(style.splits)}"
        )
    arguments = {**style.splits[split], **options}
    if dataset == "EMNIST":
        arguments["split"] = arguments.pop("part", "balanced")
    if style.downloads:
        arguments["download"] = download
    elif download:
        raise DataError(f"{dataset} cannot be downloaded by itself", hint=_by_hand(dataset, root))
    kind = getattr(torchvision.datasets, dataset)
    try:
        if download:
            Path(root).mkdir(parents=True, exist_ok=True)
        made = kind(root, transform=transform, **arguments)
    except ImportError as error:
        raise DataError(
            f"{dataset} needs {error.name}", hint=f"pip install {error.name}"
        ) from error
    except TypeError as error:
        raise UsageError(f"{dataset}: {error}", hint="zoo info names its options") from error
    except (OSError, RuntimeError, ValueError, EOFError) as error:
        reason = str(error).partition("\n")[0] or type(error).__name__
        asks = style.downloads and not download
        hint = f"--download puts it into {root}" if asks else _by_hand(dataset, root)
        raise DataError(f"{dataset} is not usable in {root}: {reason}", hint=hint) from error
    return TorchvisionSet(made, style, dataset, split)


def _by_hand(dataset: str, root: str) -> str:
    page = f"https://docs.pytorch.org/vision/stable/generated/torchvision.datasets.{dataset}.html"
    return f"download it by hand into {root}: {page}"


def _rows(dataset: Any, style: Style) -> list[int] | None:
    """The rows in the order of their file names, where torchvision leaves them in the disk's."""
    if not style.files:
        return None
    names = [str(name) for name in getattr(dataset, style.files)]
    return sorted(range(len(names)), key=names.__getitem__)


def _labels(dataset: Any, style: Style) -> list[int]:
    values = getattr(dataset, style.labels) if style.labels else None
    if values is None:
        return [int(dataset[index][1]) for index in range(len(dataset))]
    plain = values.tolist() if hasattr(values, "tolist") else list(values)
    return [int(value[-1] if isinstance(value, tuple | list) else value) for value in plain]


def _classes(dataset: Any, labels: list[int]) -> tuple[str, ...]:
    names = getattr(dataset, "classes", None) or getattr(dataset, "categories", None)
    if not names:
        return tuple(str(label) for label in range(max(labels, default=-1) + 1))
    return tuple(n if isinstance(n, str) else ", ".join(map(str, n)) for n in names)


def _pixels(dataset: Any, style: Style) -> Any:
    """All pixels as uint8 ``(N, H, W)`` or ``(N, H, W, C)``, if torchvision holds them so."""
    pixels = getattr(dataset, style.pixels, None) if style.pixels else None
    if pixels is None or str(getattr(pixels, "dtype", "")).rpartition(".")[2] != "uint8":
        return None
    return pixels.transpose(0, 2, 3, 1) if style.channels_first else pixels
