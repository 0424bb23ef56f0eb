"""A set of labelled images: what is in it without decoding anything, pixels on demand.

This module imports no torch; readers do, when the first image is loaded.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from zoo.core.recipe import MAX_PIXELS
from zoo.data.headers import OVER
from zoo.errors import DataError

if TYPE_CHECKING:
    from torch import Tensor


class Reader(Protocol):
    """Where pixels come from."""

    def read(self, row: int) -> Tensor:
        """Give image ``row``: uint8 ``(C, H, W)``."""
        ...

    def whole(self) -> Tensor | None:
        """Give all images at once, uint8 ``(N, C, H, W)``, if they lie in memory anyway."""
        ...


@dataclass(frozen=True, slots=True)
class FileReader:
    """Reads image files.

    Attributes:
        paths: One file per row.
        channels: Channels to give.
        max_pixels: What the files' numbers of pixels were checked against.
    """

    paths: tuple[str, ...]
    channels: int = 3
    max_pixels: int = MAX_PIXELS

    def read(self, row: int) -> Tensor:
        """Give image ``row``: uint8 ``(C, H, W)``."""
        from zoo.data.decode import read_image

        return read_image(self.paths[row], self.channels, self.max_pixels)

    def whole(self) -> None:
        """Files are not in memory."""
        return


@dataclass(frozen=True, slots=True)
class ItemReader:
    """Reads the items of a map-style data set.

    Attributes:
        dataset: Gives ``(image, label)``; may hold all images as ``images``, uint8 ``(N, H, W)``
            or ``(N, H, W, C)`` as an array, ``(N, H, W)`` or ``(N, C, H, W)`` as a tensor; may give
            image files as they are, ``encoded(row) -> bytes``.
        channels: Channels to give.
        max_pixels: Image files with more pixels are refused.
    """

    dataset: Any
    channels: int = 3
    max_pixels: int = MAX_PIXELS

    def read(self, row: int) -> Tensor:
        """Give image ``row``: uint8 ``(C, H, W)``.

        Raises:
            Damage: An image file cannot be used.
        """
        encoded = getattr(self.dataset, "encoded", None)
        if encoded is None:
            from zoo.data.decode import from_item

            return from_item(self.dataset[row][0], self.channels)
        from zoo.data.decode import decode_checked

        return decode_checked(encoded(row), self.channels, self.max_pixels)

    def whole(self) -> Tensor | None:
        """Give ``images`` of the data set as uint8 ``(N, C, H, W)``, or ``None``."""
        images = getattr(self.dataset, "images", None)
        if images is None or str(getattr(images, "dtype", "")).rpartition(".")[2] != "uint8":
            return None
        import torch

        from zoo.data.decode import with_channels

        if isinstance(images, torch.Tensor):
            tensor = images
        else:
            import numpy as np

            tensor = torch.from_numpy(np.array(images))
            tensor = tensor.permute(0, 3, 1, 2) if tensor.ndim == 4 else tensor
        tensor = tensor[:, None] if tensor.ndim == 3 else tensor
        return with_channels(tensor, self.channels).contiguous()


@dataclass(frozen=True, slots=True)
class ImageSet:
    """Labelled images.

    Attributes:
        name: What it is called in messages (``photos/train``).
        classes: Class names; a label is an index into them.
        labels: Label of each image, -1 where there is none.
        keys: What each image is called in messages: a path inside the set.
        reader: Gives pixels.
        rows: Row of each image in the reader; ``None`` = the same index.
        sizes: ``(H, W)`` of each image as stored, where known without decoding.
        on_bad: Whether an image that cannot be decoded later stops the run or is left out.
    """

    name: str
    classes: tuple[str, ...]
    labels: Sequence[int]
    keys: Sequence[str]
    reader: Reader
    rows: Sequence[int] | None = None
    sizes: Sequence[tuple[int, int]] | None = None
    on_bad: Literal["error", "skip"] = "error"

    def __len__(self) -> int:
        return len(self.labels)

    def load(self, index: int) -> Tensor:
        """Decode one image.

        Args:
            index: Which.

        Returns:
            uint8 ``(C, H, W)``.

        Raises:
            DataError: It cannot be decoded; names it.
        """
        try:
            return self.reader.read(self.rows[index] if self.rows is not None else index)
        except DataError:
            raise
        except Exception as error:
            what = str(error).partition("\n")[0] or type(error).__name__
            larger = "; --set data.max_pixels=N allows larger ones" if OVER in what else ""
            raise DataError(
                f"{self.name}: image {self.keys[index]!r} cannot be read: {what}",
                hint=f"--on-bad-image skip leaves such images out{larger}",
            ) from error

    def whole(self) -> Tensor | None:
        """All images as one tensor, if they lie in memory anyway.

        Returns:
            uint8 ``(N, C, H, W)``, or ``None``.
        """
        images = self.reader.whole()
        if images is None or self.rows is None:
            return images
        import torch

        return images[torch.as_tensor(self.rows, dtype=torch.int64)]

    def counts(self) -> dict[str, int]:
        """Number of images per class name, classes without images included."""
        counter = Counter(self.labels)
        return {name: counter[label] for label, name in enumerate(self.classes)}

    def subset(self, indices: Sequence[int], name: str = "") -> ImageSet:
        """The images at ``indices``, in that order.

        Args:
            indices: Which.
            name: What to call it; default: as before.
        """
        rows = self.rows if self.rows is not None else range(len(self))
        return replace(
            self,
            name=name or self.name,
            labels=[self.labels[i] for i in indices],
            keys=[self.keys[i] for i in indices],
            rows=[rows[i] for i in indices],
            sizes=None if self.sizes is None else [self.sizes[i] for i in indices],
        )


@dataclass(frozen=True, slots=True)
class Splits:
    """What a run trains on and is judged by.

    Attributes:
        name: What the data is called.
        train: Training images.
        val: Validation images, of the same classes in the same order.
        classes: Class names in the order of the labels.
        fingerprint: Digest of the content, 32 hex digits.
        notes: Facts worth a line in the plan.
        warnings: What a careful person would look into.
        test: A third split if there is one; nothing is chosen by it.
        source: What ``--data`` would be to get the same images.
        sampled: Whether the fingerprint is of some of the images only, so that others may change
            unseen.
    """

    name: str
    train: ImageSet
    val: ImageSet
    classes: tuple[str, ...]
    fingerprint: str
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()
    test: ImageSet | None = None
    source: str = ""
    sampled: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Counts and facts, for plans and records (no pixels, no file names)."""
        return {
            "name": self.name,
            "classes": len(self.classes),
            "train": len(self.train),
            "val": len(self.val),
            "test": len(self.test) if self.test is not None else None,
            "fingerprint": self.fingerprint,
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }
