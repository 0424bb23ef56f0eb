"""The rows of one view, whichever process computed them.

In another epoch's order a process meets images whose outputs another one computed. So each
process keeps what it computed in a file of its own, and maps the files of the others to read
them; the processes have to run on one machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch

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
        self._stores: list[Store | Tensor] = []
        for number, shard in enumerate(shards):
            rows = [row for row in range(len(shard.images)) if row not in shard.missing]
            there = torch.tensor(rows, dtype=torch.int64)
            self._owner[shard.images[there]] = number
            self._row[shard.images[there]] = there
            self._stores.append(store if number == rank else mapped(shard, store))

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
            return self._take(0, rows), images
        first = next((s for s in self._stores if not isinstance(s, torch.Tensor)), None)
        assert first is not None
        found = torch.empty((len(images), *first.shape), dtype=first.dtype)
        for number in range(len(self._stores)):
            chosen = (owners == number).nonzero().flatten()
            if len(chosen):
                found[chosen] = self._take(number, rows[chosen])
        return found, images

    def _take(self, number: int, rows: Tensor) -> Tensor:
        store = self._stores[number]
        return store.index_select(0, rows) if isinstance(store, torch.Tensor) else store.read(rows)


def mapped(shard: Shard, like: Store) -> Tensor:
    """The rows (R, ...) of another process's file.

    Args:
        shard: What it said.
        like: A store of the same kind of rows.
    """
    flat = torch.from_file(
        shard.path,
        shared=True,
        size=len(shard.images) * like.row_bytes,
        dtype=torch.uint8,
    )
    return flat.view(like.dtype).view(len(shard.images), *like.shape)
