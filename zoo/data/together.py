"""The images of a batch read side by side, in threads: the bytes of reading one after the other.

Decoding and resizing leave Python's lock, so threads share the cores as processes would, without
sending pixels about. What is random is told to a transform as numbers
(:func:`zoo.data.views.first_numbers`), since a generator that all threads draw from would know no
order; a transform that takes none is not read like this.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any, Final

import torch

from zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from zoo.data.views import Drawn, Key, View

MOST: Final = 8
"""Threads that read at most."""


def reading_pool(threads: int) -> ThreadPoolExecutor:
    """Threads that read, each of which computes alone.

    torch keeps one number of threads for all that have not computed yet: this thread is asked for
    its own before the others change it.
    """
    torch.get_num_threads()
    return ThreadPoolExecutor(threads, "zoo-read", initializer=torch.set_num_threads, initargs=(1,))


def can_be_shared(view: View) -> bool:
    """Whether threads may read these images: nothing is drawn, or numbers are taken instead."""
    return view.fixed or view.transform is None or view.numbers > 0


class Together:
    """Reads batches of a view.

    Args:
        view: Images and transform.
        threads: How many read.
    """

    def __init__(self, view: View, threads: int) -> None:
        self.view, self.threads = view, max(1, min(threads, MOST))
        self._pool = reading_pool(self.threads)

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown(cancel_futures=True)

    def take(self, keys: Sequence[Key]) -> Drawn:
        """Give a batch, as :meth:`zoo.data.views.View.__getitems__` does."""
        numbers: Sequence[Tensor | None] = [None] * len(keys)
        if self.view.numbers:
            numbers = list(self.view.drawn(keys))
        found: list[Tensor | DataError] = [DataError("")] * len(keys)

        def read(first: int) -> None:
            for place in range(first, len(keys), self.threads):
                try:
                    found[place] = self._one(keys[place][1], numbers[place])
                except DataError as error:
                    found[place] = error

        for done in [self._pool.submit(read, first) for first in range(self.threads)]:
            done.result()
        return self.view.collated(keys, found)

    def _one(self, index: int, numbers: Tensor | None) -> Tensor:
        if numbers is None:
            return self.view[0, index]
        transform: Any = self.view.transform
        shown: Tensor = transform.given(self.view.image(index, lend=True), numbers)
        return shown
