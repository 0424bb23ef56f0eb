"""Images that lie on the accelerator once they were read: decoded once, cut and resized there.

A GPU takes images faster than the processor beside it can decode them. Where a set fits into the
device's memory, each image is decoded once, in threads, while the first epoch runs; after that
nothing travels but a few numbers per image, which say what is cut out. They are those that the
transform would draw for the image on the processor (:func:`zoo.data.views.seed_from`), so that
the same parts are shown; pixels may differ by one in 255 where they are interpolated (bicubic: four).

What is kept of a set whose transform draws nothing is what the transform gives, the bytes of the
processor. Batches are put together one ahead, in a thread, in the order of the device's work.
"""

from __future__ import annotations

import threading
from collections import defaultdict
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.nn import functional

from zoo.data.kept import bytes_of
from zoo.data.together import reading_pool
from zoo.data.views import Batch, Drawn
from zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from torch import Tensor

    from zoo.data.views import View

GRID: Final = 128
"""Images of any size are laid on canvases whose sides are multiples of this."""
_AHEAD: Final = 3
_GROWTH: Final = 1.5
_MOST_THREADS: Final = 16


def need_of(view: View, shape: tuple[int, ...]) -> int | None:
    """Bytes that a set would take on the device.

    Args:
        view: Images and transform.
        shape: (C, H, W) that the transform gives.

    Returns:
        ``None`` if it cannot lie there: sizes are not known, or what the transform draws cannot
        be given to it.
    """
    if view.transform is None:
        return None
    if view.fixed:
        return bytes_of(view.images, shape, shape[0])
    if not view.numbers or view.images.sizes is None:
        return None
    return sum(shape[0] * _up(high) * _up(wide) for high, wide in view.images.sizes)


class Resident:
    """A source of batches that keeps its images on a device.

    Args:
        view: Images and transform; fixed, or with ``numbers`` and ``padded``.
        device: Where they are to lie.
        threads: That decode.
    """

    def __init__(self, view: View, device: torch.device, threads: int) -> None:
        self.view, self.device = view, device
        self._threads = max(1, min(threads, _MOST_THREADS))
        self._labels = torch.as_tensor(list(view.images.labels), dtype=torch.int64).to(device)
        self._bad: dict[int, DataError] = {}
        self._own = threading.local()
        self.close()

    def close(self) -> None:
        """Let go of everything; what is asked for later is read anew."""
        for pool in (getattr(self, "_readers", None), getattr(self, "_cutter", None)):
            if pool is not None:
                pool.shutdown(cancel_futures=True)
        self._readers: ThreadPoolExecutor | None = None
        self._cutter: ThreadPoolExecutor | None = None
        self._coming: dict[int, Future[tuple[Tensor, tuple[int, int]]]] = {}
        self._shelves: dict[tuple[int, ...], Tensor] = {}
        self._used: dict[tuple[int, ...], int] = defaultdict(int)
        self._places: dict[int, tuple[tuple[int, ...], int]] = {}
        self._sizes = torch.zeros((len(self.view.images), 2), dtype=torch.int64)

    @property
    def bytes(self) -> int:
        """What lies on the device now."""
        return sum(shelf.numel() for shelf in self._shelves.values())

    def epoch(self, rows: Sequence[Tensor], epoch: int) -> Iterator[Drawn]:
        """Give batches, each made while the one before is used.

        Args:
            rows: Which images each batch holds, int64 ``(N,)`` each.
            epoch: Which epoch.
        """
        if self._cutter is None:
            self._cutter = ThreadPoolExecutor(1, "zoo-cut")
        made: list[Future[Drawn]] = []
        try:
            for place in range(len(rows) + 1):
                if place < len(rows):
                    for later in rows[place : place + _AHEAD]:
                        self._read(later)
                    made.append(self._cutter.submit(self._take, rows[place], epoch))
                if place:
                    yield made.pop(0).result()
        finally:
            for future in made:  # the next epoch begins with nothing under way
                if not future.cancel():
                    future.exception()

    def _take(self, rows: Tensor, epoch: int) -> Drawn:
        """Give the images at ``rows``, int64 ``(N,)``, which are being read, as ``epoch`` has them."""
        for index in rows.tolist():
            self._settle(index)
        wrong = [index for index in rows.tolist() if index in self._bad]
        if wrong and self.view.images.on_bad == "error":
            error = self._bad[wrong[0]]
            return Drawn(None, failure=(error.message, error.hint))
        skipped = tuple((index, self._bad[index].message) for index in wrong)
        if wrong:
            rows = torch.tensor([i for i in rows.tolist() if i not in self._bad], dtype=torch.int64)
        if not len(rows):
            return Drawn(None, skipped)
        here = self._there(rows)
        return Drawn(Batch(self._pixels(rows, epoch), self._labels[here], rows), skipped)

    def _read(self, rows: Tensor) -> None:
        """Begin to read what is not there."""
        for index in rows.tolist():
            if index in self._places or index in self._bad or index in self._coming:
                continue
            if self._readers is None:
                self._readers = reading_pool(self._threads)
            self._coming[index] = self._readers.submit(self._load, index)

    def _load(self, index: int) -> tuple[Tensor, tuple[int, int]]:
        """Decode one image, in a thread; gives it on the device, and its size."""
        image = self.view.images.load(index)
        if self.view.fixed and self.view.transform is not None:
            image = self.view.transform(image)
        high, wide = image.shape[-2:]
        if not self.view.fixed:
            image = functional.pad(image, (0, _up(wide) - wide, 0, _up(high) - high))
        if self.device.type == "cpu":
            return image, (high, wide)
        stream = getattr(self._own, "stream", None)
        if stream is None:
            stream = self._own.stream = torch.cuda.Stream(self.device)  # type: ignore[no-untyped-call]
        with torch.cuda.stream(stream):
            there = image.to(self.device)
        stream.synchronize()
        return there, (high, wide)

    def _settle(self, index: int) -> None:
        """Put an image that was read onto its shelf."""
        coming = self._coming.pop(index, None)
        if coming is None:
            return
        try:
            image, size = coming.result()
        except DataError as error:
            self._bad[index] = error
            return
        shape = tuple(image.shape)
        slot = self._used[shape]
        self._used[shape] += 1
        shelf = self._shelf(shape, slot)
        shelf[slot] = image
        if self.device.type != "cpu":
            image.record_stream(torch.cuda.current_stream(self.device))
        self._places[index], self._sizes[index] = (shape, slot), torch.tensor(size)
        if len(self._places) == len(self._sizes) and self.device.type != "cpu":
            torch.cuda.empty_cache()  # what images on their way have left behind

    def _shelf(self, shape: tuple[int, ...], slot: int) -> Tensor:
        """The shelf for images of a shape, with room for a slot."""
        shelf = self._shelves.get(shape)
        if shelf is not None and slot < len(shelf):
            return shelf
        room = self._expected(shape) if shelf is None else int(len(shelf) * _GROWTH) + 1
        larger = self._room((room, *shape))
        if shelf is not None:
            larger[: len(shelf)] = shelf
        self._shelves[shape] = larger
        return larger

    def _room(self, shape: tuple[int, ...]) -> Tensor:
        """Memory of the device; what lies idle in torch's hands is given back if it is short."""
        try:
            return torch.empty(shape, dtype=torch.uint8, device=self.device)
        except torch.OutOfMemoryError:
            torch.cuda.empty_cache()
            return torch.empty(shape, dtype=torch.uint8, device=self.device)

    def _expected(self, shape: tuple[int, ...]) -> int:
        """How many images of a shape there seem to be: by their files, before EXIF turns them."""
        sizes = self.view.images.sizes
        if self.view.fixed or sizes is None:
            return len(self.view.images)
        found = sum((_up(high), _up(wide)) == shape[1:] for high, wide in sizes)
        return max(1, found)

    def _pixels(self, rows: Tensor, epoch: int) -> Tensor:
        """Images at ``rows`` as they look in ``epoch``, uint8 ``(N, C, H, W)`` on the device."""
        groups: dict[tuple[int, ...], list[tuple[int, int]]] = defaultdict(list)
        for position, index in enumerate(rows.tolist()):
            shape, slot = self._places[index]
            groups[shape].append((position, slot))
        numbers = None
        if self.view.numbers:
            numbers = self.view.drawn([(epoch, index) for index in rows.tolist()])
        made: list[Tensor] = []
        order: list[int] = []
        for shape, members in groups.items():
            positions = [position for position, _ in members]
            slots = self._there(torch.tensor([slot for _, slot in members]))
            images = self._shelves[shape].index_select(0, slots)
            if numbers is not None:
                transform: Any = self.view.transform
                images = transform.padded(images, self._sizes[rows[positions]], numbers[positions])
            made.append(images)
            order += positions
        if len(made) == 1:
            return made[0]
        back = self._there(torch.tensor(order).argsort())
        return torch.cat(made).index_select(0, back)

    def _there(self, numbers: Tensor) -> Tensor:
        """A few numbers on the device, without waiting for it."""
        pinned = numbers if self.device.type == "cpu" else numbers.pin_memory()
        return pinned.to(self.device, non_blocking=True)


def _up(side: int) -> int:
    """A side of the canvas for a side of an image."""
    return -(-side // GRID) * GRID
