"""Running the prefix on batches of bytes: in one go, or on a CPU in parts side by side.

Threads that share one convolution wait for each other at its end, some sixty times an image. The
prefix has no reason to: no image depends on another. So the cores of a CPU are given parts of the
batch instead of parts of each layer, small ones, whose maps stay in the caches and whose memory
the allocator reuses (it gives large blocks back, and gets every page of them cleared anew).
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, nullcontext
from threading import Barrier
from typing import TYPE_CHECKING

import torch

from zoo.engine.place import autocast

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from torch import Tensor

    from zoo.engine.feed import Feed
    from zoo.engine.place import Place

PART = 8
"""Images of a part: at 224 pixels the first maps of a ResNet then take 13 MB in bf16."""


def nothing() -> AbstractContextManager[object]:
    """Around a run of a function that has no modes."""
    return nullcontext()


class PrefixRunner:
    """Uint8 images of a batch to prefix outputs, as the whole model would compute them.

    Args:
        prefix: Normalised images (N, C, H, W) to outputs (N, ...).
        feed: Normalises.
        place: Where and how precisely.
        ready: A context that ``prefix`` needs, entered once a batch.
        parts: Whether parts of a batch may be computed side by side: ``prefix`` keeps nothing
            between its layers' calls, and what it gives may differ by rounding.
    """

    def __init__(
        self,
        prefix: Callable[[Tensor], Tensor],
        feed: Feed,
        place: Place,
        *,
        ready: Callable[[], AbstractContextManager[object]] = nothing,
        parts: bool = False,
    ) -> None:
        self.prefix, self.feed, self.place, self.ready = prefix, feed, place, ready
        self.parts = parts and place.device.type == "cpu" and place.threads > 1
        self._team: ThreadPoolExecutor | None = None

    def __call__(self, images: Tensor) -> Tensor:
        """Compute (N, C, H, W) to (N, ...) on the device."""
        with self.ready():
            if not self.parts or len(images) <= PART:
                return self._run(images)
            pieces = torch.split(images, _even(len(images), PART))
            if self._team is None:
                self._team = team(self.place.threads, len(pieces))
            return torch.cat(list(self._team.map(self._run, pieces)))

    def _run(self, images: Tensor) -> Tensor:
        with torch.no_grad(), autocast(self.place):
            return self.prefix(self.feed.images(images))

    def close(self) -> None:
        """Let the threads go; another call starts new ones."""
        if self._team is not None:
            self._team.shutdown()
            self._team = None


def _even(count: int, most: int) -> int:
    """Size of the parts of ``count`` images, none of more than ``most``, the last as the others."""
    pieces = -(-count // most)
    return -(-count // pieces)


def team(threads: int, pieces: int) -> ThreadPoolExecutor:
    """Python threads that share so many of torch's.

    Args:
        threads: Threads of the process.
        pieces: Pieces of work; more than these need no thread.
    """
    size = min(threads, pieces)
    met = Barrier(size + 1)

    def begin() -> None:
        torch.set_num_threads(max(1, threads // size))
        torch.get_num_threads()  # a thread takes over the process's number at its first look
        met.wait()

    made = ThreadPoolExecutor(size, thread_name_prefix="zoo-prefix", initializer=begin)
    for _ in range(size):
        made.submit(int)
    met.wait()
    torch.set_num_threads(threads)  # some of torch's libraries have one number for all threads
    return made


@contextmanager
def evaluating(modules: list[torch.nn.Module]) -> Iterator[None]:
    """Have the flags of some modules say eval mode, and put them back."""
    training = [module for module in modules if module.training]
    for module in training:
        module.training = False
    try:
        yield
    finally:
        for module in training:
            module.training = True
