"""Batches of prefix outputs in place of images: the same images, order and views as without.

A :class:`PrefixSource` stands where a loader stood. Without stores it runs the prefix on every
batch. With stores it keeps what the prefix gave, one store for each view: epoch ``e`` uses view
``e % K``, drawn as the uncached run draws it in epoch ``e % K``, in the order of epoch ``e``. The
first K epochs fill the stores while they train, on the very batches that the uncached run sees;
later epochs read, in random windows of the maps where those are asked for
(:mod:`zoo.engine.prefix.windows`). A run that is resumed computes what is missing when it is needed. Of several
processes each computes its own share, and reads the others' (:mod:`zoo.engine.prefix.shards`).

Whether a view can be kept changes the time that a run takes, and no number: a view without a store
(another run has it open, the disk is full) is computed anew from the same pixels.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.data.views import Batch
from zoo.engine.prefix.feed import pack, unpack
from zoo.engine.prefix.shards import Shard, Shards
from zoo.engine.processes.distributed import ALONE
from zoo.errors import DiskError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from zoo.data.loaders import Loader
    from zoo.engine.prefix.runner import PrefixRunner
    from zoo.engine.prefix.store import Store
    from zoo.engine.prefix.windows import Windows
    from zoo.engine.processes.distributed import World

_TOLERANCE = 0.05
"""Share of the largest number by which one that is computed again may differ: rounding in bf16."""
_EXACT = 1e-3
"""The same in fp32 on the CPU, where others' threads or kernels change some 1e-6 of it. (A GPU has
TF32, and may have cut and resized the images itself.)"""

_AGAIN = 8
"""Images of a chunk that are computed again before it is trusted."""


class PrefixSource:
    """A loader of prefix outputs.

    Args:
        loader: The loader of images.
        runner: Runs the prefix.
        stores: Opens the store of a view, or gives ``None`` if that cannot be done; ``None`` where
            nothing is to be kept.
        views: Number of views K; 0 = every epoch draws anew.
        dtype: Type of what is or would be kept; ``None`` = what the prefix gives.
        nhwc: Rows are kept as (H, W, C).
        windows: Parts that are shown of maps whose views come back; ``None`` = all of them.
        world: The processes; each asks for the same epochs at the same time.

    """

    def __init__(
        self,
        loader: Loader,
        runner: PrefixRunner,
        stores: Callable[[int, PrefixSource], Store | None] | None = None,
        *,
        views: int = 0,
        dtype: torch.dtype | None = None,
        nhwc: bool = False,
        windows: Windows | None = None,
        world: World = ALONE,
    ) -> None:
        self.world, self.windows = world, windows
        self.loader, self.runner, self.views, self.nhwc = loader, runner, views, nhwc
        self.batches_per_epoch = loader.batches_per_epoch
        self._said: tuple[str, ...] = ()
        self._open, self._dtype = stores, dtype
        self._stores: dict[int, Store | None] = {}
        self._labels = torch.as_tensor(list(loader.images.labels))
        self._shards: dict[int, Shards | None] = {}

    def __len__(self) -> int:
        return self.batches_per_epoch

    @property
    def notes(self) -> tuple[str, ...]:
        """What is worth saying once, of the images and of their outputs."""
        return (*self.loader.notes, *self._said)

    def say(self, text: str) -> None:
        """Add a note."""
        self._said = (*self._said, text)

    @property
    def kept(self) -> int:
        """Number of views whose outputs are kept."""
        return 0 if self._open is None else self.views

    @property
    def images(self) -> Any:
        """The images behind the outputs, for messages that name them."""
        return self.loader.images

    @property
    def skipped(self) -> dict[str, str]:
        """Key of an image that was left out -> why."""
        return self.loader.skipped

    def indices(self, epoch: int) -> list[Tensor]:
        """Which images each batch of an epoch holds, int64 (N,) each."""
        return self.loader.indices(epoch)

    def close(self) -> None:
        """End loader processes and let go of the stores."""
        self.loader.close()
        for store in self._stores.values():
            if store is not None:
                store.close()
        for shards in self._shards.values():
            if shards is not None:
                shards.close()
        self._stores.clear()
        self._shards.clear()

    def epoch(self, epoch: int, start_batch: int = 0) -> Iterator[Batch]:
        """Give the batches of one epoch, ``images`` being prefix outputs (N, ...).

        Args:
            epoch: Which epoch.
            start_batch: Begin at this batch.

        Raises:
            DataError: As the loader.
            DiskError: A store cannot be read.
        """
        view = epoch % self.views if self.views else epoch
        view = view if self.loader.train else 0
        store = self._store(view)
        own = epoch == view or not self.loader.train
        if store is not None and own:
            yield from self._own(store, view, start_batch)
            return
        shards = self._meet(store, view) if self.views and not own else None
        if shards is not None:
            order = self.indices(epoch)
            for number in range(start_batch, len(order)):
                rows, images = shards.read(order[number])
                if self.windows is not None:
                    rows = self.windows.cut(rows, images, epoch=epoch, batch=number, nhwc=self.nhwc)
                yield Batch(unpack(rows, nhwc=self.nhwc), self._labels[images], images)
            return
        yield from self._anew(epoch, start_batch, view)

    def _anew(self, epoch: int, start: int, view: int) -> Iterator[Batch]:
        """An epoch of which nothing is kept, of the pixels and in the windows of one that is."""
        parts = self.windows if self.loader.train and epoch != view else None
        for number, batch in enumerate(self.loader.epoch(epoch, start, view=view), start):
            if not len(batch.indices):  # none of its images could be read
                yield batch
                continue
            given = self.runner(batch.images)
            given = given if self._dtype is None else given.to(self._dtype)
            if parts is not None:
                rows, images = pack(given, nhwc=self.nhwc), batch.indices
                rows = parts.cut(rows, images, epoch=epoch, batch=number, nhwc=self.nhwc)
                given = unpack(rows, nhwc=self.nhwc)
            yield batch._replace(images=given)

    def _meet(self, store: Store | None, view: int) -> Shards | None:
        """Complete this process's rows and find everybody's; ``None`` if somebody has none."""
        if view not in self._shards:
            with self.world.together():
                if store is not None:
                    self._fill(store, view)
            mine = None
            if store is not None and not store.broken:
                mine = Shard(torch.cat(self.indices(view)), frozenset(store.missing), store.path)
            found = self.world.gather(mine)
            known = [shard for shard in found if shard is not None]
            whole = mine is not None and len(known) == len(found)
            if whole:
                self.loader.close()  # nothing is decoded any more
            self._shards[view] = (
                Shards(store, known, self.world.rank, len(self._labels)) if whole else None  # type: ignore[arg-type]
            )
        return self._shards[view]

    def _store(self, view: int) -> Store | None:
        if self._open is None:
            return None
        store = self._stores.get(view)
        if store is not None and store.broken:
            store.close()
            self._stores[view] = None
        if view not in self._stores:
            store = self._open(view, self)
            if store is not None and store.missing:
                self._left_out(store, view)
            if store is not None and any(store.done):
                self._spot_check(store, view)
            if store is not None and store.note:
                self.say(store.note)
            self._stores[view] = store
        return self._stores[view]

    def _left_out(self, store: Store, view: int) -> None:
        """Say which images an earlier run left out, or read them again where that is an error."""
        if self.images.on_bad == "error":
            store.reopen_missing()
            return
        indices = torch.cat(self.indices(view))[sorted(store.missing)]
        keys = self.images.keys
        self.loader.leave_out({keys[index]: "in an earlier run" for index in indices.tolist()})

    def _own(self, store: Store, view: int, start: int) -> Iterator[Batch]:
        """An epoch in the order in which the store was filled, computing what is missing."""
        chunk, count, whole = start, self.batches_per_epoch, all(store.done)
        while chunk < count:
            if store.done[chunk]:
                rows = torch.arange(store.starts[chunk], store.starts[chunk + 1])
                yield self._kept(store, rows, self.indices(view)[chunk])
                chunk += 1
                continue
            end = next((c for c in range(chunk, count) if store.done[c]), count)
            yield from self._computed(store, view, range(chunk, end))
            chunk = end
        if not whole and all(store.done) and not self.loader.train:
            self.loader.close()  # nothing is decoded any more

    def _fill(self, store: Store, view: int) -> None:
        """Compute what is missing."""
        for chunk in range(self.batches_per_epoch):
            if not store.done[chunk] and not store.broken:
                later = range(chunk, self.batches_per_epoch)
                end = next((c for c in later if store.done[c]), later.stop)
                for _ in self._computed(store, view, range(chunk, end)):
                    pass

    def _computed(self, store: Store, view: int, chunks: range) -> Iterator[Batch]:
        """Compute and keep chunks that are not there yet."""
        order = self.indices(view)
        batches = self.loader.epoch(view, chunks.start)
        try:
            for chunk, batch in zip(chunks, batches, strict=False):
                values = torch.empty((0, *store.shape), dtype=store.dtype)
                rows = torch.empty(0, dtype=torch.int64)
                given = batch.images
                if len(batch.indices):
                    given = self.runner(batch.images).to(store.dtype)
                    values = pack(given, nhwc=self.nhwc)
                    rows = store.starts[chunk] + _positions(batch.indices, order[chunk])
                self._keep(store, chunk, rows, values)
                yield batch._replace(images=given)
        finally:
            batches.close()  # type: ignore[attr-defined]  # a generator

    def _keep(self, store: Store, chunk: int, rows: Tensor, values: Tensor) -> None:
        """Write a chunk; a disk that does not take it costs the run time, not its life."""
        if store.broken:
            return
        try:
            store.write(chunk, rows, values)
        except DiskError as error:
            store.broken = True
            self.say(f"{error.message}: outputs of the frozen part are not kept any more")

    def _kept(self, store: Store, rows: Tensor, indices: Tensor) -> Batch:
        if store.missing:
            there = torch.tensor([int(row) not in store.missing for row in rows], dtype=torch.bool)
            rows, indices = rows[there], indices[there]
        return Batch(unpack(store.read(rows), nhwc=self.nhwc), self._labels[indices], indices)

    def _spot_check(self, store: Store, view: int) -> None:
        """Compute some of a kept chunk again: the cache must be of these images and this model."""
        chunk = store.done.index(True)
        rows = torch.arange(store.starts[chunk], store.starts[chunk + 1])
        kept = self._kept(store, rows, self.indices(view)[chunk])
        batch = next(self.loader.epoch(view, chunk), None)
        if all(store.done):
            self.loader.close()  # nothing else will be decoded
        if batch is None or not len(kept.indices):
            return
        place = self.runner.place
        exact = place.precision == "fp32" and place.device.type == "cpu"
        exact = exact and store.dtype == torch.float32
        tolerance = _EXACT if exact else _TOLERANCE
        values = self.runner(batch.images[:_AGAIN]).to("cpu", torch.float32)
        found = kept.images[:_AGAIN].to("cpu", torch.float32)
        scale = float(values.abs().max()) or 1.0
        fits = torch.equal(batch.indices, kept.indices) and values.shape == found.shape
        if not fits or float((values - found).abs().max()) > tolerance * scale:
            store.forget()
            self.say("the cached prefix outputs do not fit: computed again")


def _positions(indices: Tensor, rows: Tensor) -> Tensor:
    """Where each of ``indices`` stands in ``rows``, int64 (N,)."""
    where = {index: position for position, index in enumerate(rows.tolist())}
    return torch.tensor([where[index] for index in indices.tolist()], dtype=torch.int64)
