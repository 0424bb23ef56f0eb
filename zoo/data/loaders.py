"""Batches of an epoch: the order is f(seed, epoch), workers change nothing but the speed."""

from __future__ import annotations

import os
import signal
import threading
import warnings
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import torch
from torch.utils.data import DataLoader

from zoo.data.cuts import Cut, cuts, joined
from zoo.data.kept import Kept
from zoo.data.leftout import note_new
from zoo.data.memory import Memory, in_memory
from zoo.data.resident import Resident, need_of
from zoo.data.together import Together, can_be_shared
from zoo.data.views import Batch, Drawn, View, all_even, order, undisturbed
from zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from torch import Tensor

    from zoo.core.protocols import Augmentation
    from zoo.data.images import ImageSet
    from zoo.data.views import Key

_FEW: Final = 256


class Loader:
    """Gives the batches of any epoch, from any batch on.

    The same images in the same order with the same pixels for any number of workers. Random
    states of the calling process are the same after a batch as before it.

    Args:
        images: What to load.
        transform: uint8 ``(C, H, W)`` to uint8 ``(C, H, W)``, all of one size. If it says
            ``deterministic``, nothing is seeded for it; else it is called after seeding from
            (seed, epoch, index).
        batch_size: Images per process and batch.
        workers: Loader processes; 0 = load in this one.
        threads: That read the images of a batch, without loader processes.
        seed: Seed of the run.
        train: Shuffle, and never end on a batch that batch norm cannot take.
        rank: Which process this is.
        world: How many there are.
        drop_last: Leave out an incomplete last batch.
        least: Fewest images of a last training batch over all processes; 0 = two a process.
        pin_memory: Give page-locked memory, for copies to an accelerator.
        device: Type of the device that computes: sets that lie in memory lie there.

    Attributes:
        batches_per_epoch: Batches of a whole epoch for this process.
        even: Whether all that is drawn for an image is spread evenly over the epochs.
        notes: What is worth saying once.
        skipped: Key of an image that could not be decoded and was left out -> why.

    Raises:
        DataError: Not one batch comes out.
    """

    def __init__(
        self,
        images: ImageSet,
        transform: Augmentation | None = None,
        *,
        batch_size: int,
        workers: int = 0,
        threads: int = 1,
        seed: int = 0,
        train: bool = True,
        rank: int = 0,
        world: int = 1,
        drop_last: bool = False,
        least: int = 0,
        pin_memory: bool = False,
        device: str = "cpu",
    ) -> None:
        self.images, self.seed, self.train = images, seed, train
        self._rank, self._world, self._pin = rank, world, pin_memory
        size, count = batch_size, len(images)
        every = cuts(count, size, world=world, train=train, drop_last=drop_last, least=least)
        self._cuts = [cut for cut in every if cut[1] - cut[0] > rank]
        self.batches_per_epoch = len(self._cuts)
        self.skipped: dict[str, str] = {}
        self._fixed = transform is None or bool(getattr(transform, "deterministic", False))
        self.even = not self._fixed and all_even(transform)
        memory = in_memory(images, transform, seed=seed, device=device)
        self._source: View | Memory | Resident = memory or View(
            images, transform, seed, self._fixed
        )
        self._workers = 0 if memory is not None else workers
        self._threads = threads
        self._together: Together | None = None
        self._processes: DataLoader[Any] | None = None
        self._wanted: list[list[Key]] = []
        tail = joined(count, size, world, least) if train and not drop_last else 0
        self.notes: tuple[str, ...] = ()
        if tail:
            what = "1 image" if tail == 1 else f"{tail} images"
            said = f"the last batch of an epoch would have {what}: joined to the one before"
            self.notes = (said,)

    def __len__(self) -> int:
        return self.batches_per_epoch

    @property
    def fixed(self) -> bool:
        """Whether every epoch gives the same pixels: nothing is drawn at random."""
        return self._fixed

    def keep(self, limit: int) -> bool:
        """Keep images in memory once they are read; loader processes and small sets do not.

        Args:
            limit: Bytes that may be taken.

        Returns:
            Whether images will be kept.
        """
        if self._workers or not isinstance(self._source, View):
            return False
        self._source, self._together = replace(self._source, kept=Kept(limit)), None
        return True

    def reside(
        self, device: torch.device, limit: int, shape: tuple[int, ...], *, threads: int
    ) -> int:
        """Keep images on the device once they are read, and cut and resize them there.

        Args:
            device: The device that computes.
            limit: Bytes that may be taken.
            shape: (C, H, W) that the transform gives.
            threads: That decode; there are no loader processes then.

        Returns:
            Bytes that will be taken; 0 if the images do not fit or cannot be cut there.
        """
        if not isinstance(self._source, View):
            return 0
        need = need_of(self._source, shape)
        if not need or need > limit:
            return 0
        self._source, self._workers = Resident(self._source, device, threads), 0
        self._together = None
        return need

    def indices(self, epoch: int) -> list[Tensor]:
        """Which images each batch of an epoch holds, int64 ``(N,)`` each."""
        count = len(self.images)
        row = order(count, seed=self.seed, epoch=epoch) if self.train else torch.arange(count)
        return [self._share(row, cut) for cut in self._cuts]

    def _share(self, row: Tensor, cut: Cut) -> Tensor:
        return row[cut[0] + self._rank : cut[1] : self._world]

    def epoch(
        self, epoch: int, start_batch: int = 0, *, view: int | None = None
    ) -> Iterator[Batch]:
        """Give the batches of one epoch.

        Args:
            epoch: Which epoch; without ``train`` every epoch is the same.
            start_batch: Begin at this batch; the ones before are not loaded.
            view: The epoch whose pixels are shown, in the order of ``epoch``; default: its own.

        Yields:
            Batches. One whose images all had to be left out is empty, so that their number, and
            with it the place to resume from, stays the same.

        Raises:
            DataError: An image cannot be decoded, or a worker was killed.
        """
        rows = self.indices(epoch)[start_batch:]
        counter = (epoch if view is None else view) if self.train else 0
        skipped: dict[str, str] = {}
        try:
            for drawn in self._draw(rows, counter):
                if drawn.failure is not None:
                    self.close()
                    raise DataError(drawn.failure[0], hint=drawn.failure[1])
                for index, reason in drawn.skipped:
                    skipped[self.images.keys[index]] = reason
                yield drawn.batch or _empty()
        finally:
            self.leave_out(skipped)

    def leave_out(self, found: Mapping[str, str]) -> None:
        """Remember images as left out, and note those that were not known to be.

        Args:
            found: Key of an image that cannot be decoded -> why.
        """
        self.notes = (*self.notes, *note_new(self.images.name, self.skipped, found))

    def _draw(self, rows: list[Tensor], epoch: int) -> Iterator[Drawn]:
        if isinstance(self._source, Memory):
            yield from (self._pinned(self._source.take(row, epoch)) for row in rows)
            return
        if isinstance(self._source, Resident):
            yield from self._source.epoch(rows, epoch)
            return
        keys = [[(epoch, index) for index in row.tolist()] for row in rows]
        if self._workers:
            yield from self._from_workers(keys)
            return
        if self._threads > 1 and can_be_shared(self._source):
            self._together = self._together or Together(self._source, self._threads)
        for wanted in keys:
            if self._together is not None:
                drawn = self._together.take(wanted)
            elif self._fixed:
                drawn = self._source.__getitems__(wanted)
            else:
                with undisturbed():
                    drawn = self._source.__getitems__(wanted)
            yield self._pinned(drawn)

    def _pinned(self, drawn: Drawn) -> Drawn:
        if not self._pin or drawn.batch is None:
            return drawn
        host = (t.pin_memory() if t.device.type == "cpu" else t for t in drawn.batch)
        return drawn._replace(batch=Batch(*host))

    def _from_workers(self, keys: list[list[Key]]) -> Iterator[Drawn]:
        self._wanted[:] = keys
        if self._processes is None:
            self._processes = self._start()
        try:
            with _own_child_signals():
                batches = iter(self._processes)
            yield from batches
        except (RuntimeError, EOFError, ConnectionError) as error:
            self.close()
            explained = explain(error)
            if explained is None:
                raise
            raise explained from error

    def _start(self) -> DataLoader[Any]:
        with warnings.catch_warnings():  # more workers than cores are the caller's wish
            warnings.filterwarnings("ignore", "This DataLoader will create")
            return DataLoader(
                self._source,  # type: ignore[arg-type]  # map-style by __getitems__
                batch_sampler=self._wanted,
                num_workers=self._workers,
                collate_fn=_as_is,
                pin_memory=self._pin,
                worker_init_fn=_leave_interrupts_to_the_parent,
                generator=torch.Generator(),
                persistent_workers=True,
            )

    def close(self) -> None:
        """End the loader processes, let go of what is kept; the next epoch starts anew."""
        if self._together is not None:
            self._together.close()
            self._together = None
        if isinstance(self._source, Resident):
            self._source.close()
        elif isinstance(self._source, View) and self._source.kept is not None:
            self._source.kept.forget()
        iterator = getattr(self._processes, "_iterator", None)
        self._processes = None
        if iterator is not None:
            iterator._shutdown_workers()  # else they live as long as an error's trace


def explain(error: Exception) -> DataError | None:
    """What a report about a dead worker means.

    Args:
        error: An error of a training step. (Where a loader of torch's own was used before, its
            signal handler may raise this anywhere.)

    Returns:
        An error to raise in its place, or ``None`` if it is about something else.
    """
    if isinstance(error, RuntimeError) and not str(error).startswith("DataLoader worker (pid"):
        return None
    reason = str(error).partition(".")[0] or "the connection to it broke"
    return DataError(
        f"a loader process was killed: {reason}",
        hint="often memory ran out: --workers 0, a smaller --batch-size or --size",
    )


@contextmanager
def _own_child_signals() -> Iterator[None]:
    """Keep torch from raising in the middle of anything when a child dies.

    It installs a handler that does; without it, the death is noticed at the next fetch, within
    five seconds, where it can be told from other errors.
    """
    if not hasattr(signal, "SIGCHLD") or threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGCHLD)
    try:
        yield
    finally:
        if before is not None:
            signal.signal(signal.SIGCHLD, before)


def make_loader(
    images: ImageSet,
    transform: Augmentation | None = None,
    *,
    batch_size: int,
    workers: int | None = None,
    threads: int = 1,
    seed: int = 0,
    train: bool = True,
    rank: int = 0,
    world: int = 1,
    drop_last: bool = False,
    least: int = 0,
    device: str = "cpu",
    cores: int | None = None,
) -> Loader:
    """Make a loader that suits the machine; see :class:`Loader`.

    Args:
        images: What to load.
        transform: Applied to each image.
        batch_size: Images per process and batch.
        workers: Loader processes; ``None`` = :func:`default_workers`.
        threads: That read the images of a batch, without loader processes.
        seed: Seed of the run.
        train: Whether this is for training.
        rank: Which process this is.
        world: How many there are.
        drop_last: Leave out an incomplete last batch.
        least: Fewest images of a last training batch over all processes; 0 = two a process.
        device: Type of the device that computes; ``cuda`` gets page-locked memory.
        cores: Cores that the process may use; default: those of its affinity mask.
    """
    if workers is None:
        mask = getattr(os, "sched_getaffinity", None)  # Linux has it
        cores = cores or (len(mask(0)) if mask else os.cpu_count() or 1)
        workers = default_workers(images, cores=cores, accelerator=device != "cpu", world=world)
    return Loader(
        images,
        transform,
        batch_size=batch_size,
        workers=workers,
        threads=threads,
        seed=seed,
        train=train,
        rank=rank,
        world=world,
        drop_last=drop_last,
        least=least,
        pin_memory=device == "cuda",
        device=device,
    )


def default_workers(
    images: ImageSet, *, cores: int, accelerator: bool = False, world: int = 1
) -> int:
    """How many loader processes pay off.

    Where the model computes on the CPU, workers take what they give, unless cores are plenty.

    Args:
        images: What is loaded; few images are loaded in the process itself.
        cores: Cores that the process may use.
        accelerator: Whether the model computes elsewhere.
        world: Processes on this machine that share the cores.
    """
    if len(images) < _FEW or cores < 2:
        return 0
    share = cores // world
    return min(share, 16) if accelerator else min(share // 4, 4)


def _empty() -> Batch:
    none = torch.empty(0, dtype=torch.int64)
    return Batch(torch.empty(0, dtype=torch.uint8), none, none)


def _as_is(drawn: Any) -> Any:
    return drawn


def _leave_interrupts_to_the_parent(worker: int) -> None:
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
