"""The rows of one view, whichever process computed them.

In another epoch's order a process meets images whose outputs another one computed. So each
process keeps what it computed in a file of its own, and opens the files of the others; the processes have to run on one machine.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import torch

from zoo.engine.prefix.rowfile import RowFile

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor

    from zoo.engine.prefix.store import Store


class Shard(NamedTuple):
    """What one process tells the others about its store.

    Attributes:
        images: Index of the image behind each row, int64 (R,).
        missing: Rows of images that could not be read.
        path: File of the rows; empty if they are in memory.
    """

    images: Tensor
    missing: frozenset[int]
    path: str


class Shards:
    """Finds the rows of images.

    Args:
        store: This process's.
        shards: Everybody's, by rank.
        rank: This process's number.
        count: Images of the whole set.
    """

    def __init__(self, store: Store, shards: Sequence[Shard], rank: int, count: int) -> None:
        self._owner = torch.full((count,), -1, dtype=torch.int64)
        self._row = torch.full((count,), -1, dtype=torch.int64)
        self._stores: list[Store | RowFile] = []
        for number, shard in enumerate(shards):
            rows = [row for row in range(len(shard.images)) if row not in shard.missing]
            there = torch.tensor(rows, dtype=torch.int64)
            self._owner[shard.images[there]] = number
            self._row[shard.images[there]] = there
            self._stores.append(store if number == rank else _others(shard, store))

    def read(self, images: Tensor) -> tuple[Tensor, Tensor]:
        """Give rows.

        Args:
            images: Which images, int64 (N,).

        Returns:
            Rows (M, ...) and the images that they are of, int64 (M,): those that could be read.
        """
        images = images[self._owner[images] >= 0]
        owners, rows = self._owner[images], self._row[images]
        if len(self._stores) == 1:
            return self._stores[0].read(rows), images
        first = self._stores[0]
        found = torch.empty((len(images), *first.shape), dtype=first.dtype)
        for number in range(len(self._stores)):
            chosen = (owners == number).nonzero().flatten()
            if len(chosen):
                found[chosen] = self._stores[number].read(rows[chosen])
        return found, images

    def close(self) -> None:
        """Let go of the others' files; the store is its owner's."""
        for store in self._stores:
            if isinstance(store, RowFile):
                store.close()


def _others(shard: Shard, like: Store) -> RowFile:
    return RowFile(Path(shard.path), len(shard.images), like.shape, like.dtype)
