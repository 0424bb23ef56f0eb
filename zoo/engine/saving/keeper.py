"""Keeps a run safe: saves states and the best weights, goes back to the newest good one.

A save copies the run's state to host memory and returns; one thread writes it down, verifies it
and deletes older ones while training goes on. There is never more than one such save: the next
one waits for it.
"""

from __future__ import annotations

import contextlib
import math
import platform
import time
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any

import torch

from zoo.core.metadata import WEIGHTS_FILE
from zoo.engine.processes.distributed import ALONE
from zoo.engine.reports import SavedReport
from zoo.engine.saving.background import Background
from zoo.engine.saving.checkpoint import (
    Found,
    list_states,
    newest_state,
    prune_states,
    save_state,
    save_weights,
    state_path,
)
from zoo.engine.saving.moment import HostCopy
from zoo.errors import CheckpointError, DiskError, NumericsError, ZooError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from zoo.core.metadata import CheckpointInfo
    from zoo.engine.place import Place
    from zoo.engine.processes.distributed import World
    from zoo.engine.saving.live import Live
    from zoo.engine.saving.moment import Moment
    from zoo.engine.saving.rundir import RunFolder


def environment(place: Place, world: World, **more: Any) -> dict[str, Any]:
    """What must be equal for a resumed run to give the same bits."""
    return {
        "torch": torch.__version__,
        "machine": platform.machine(),
        "world": world.size,
        **place.to_dict(),
        **more,
    }


def drift(saved: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """What differs between two environments, one line each."""
    keys = [key for key in {**saved, **now} if saved.get(key) != now.get(key)]
    return tuple(f"{key} was {saved.get(key)}, is {now.get(key)}" for key in keys)


class Keeper:
    """Saves and restores one run. Every rank has one; only rank 0's touches the disk.

    Args:
        folder: The run's folder on rank 0, else ``None``.
        info: What travels with every checkpoint; epoch, step and metrics are filled in.
        keep: States that are kept, at least 2.
        environment: See :func:`environment`.
        world: The ranks.
    """

    def __init__(
        self,
        folder: RunFolder | None,
        info: CheckpointInfo,
        *,
        keep: int = 2,
        environment: Mapping[str, Any] | None = None,
        world: World = ALONE,
    ) -> None:
        self.folder = folder
        self.info = info
        self.keep = max(2, keep)
        self.environment = dict(environment or {})
        self.world = world
        self.last_good: int | None = None
        self._copy = HostCopy()
        self._writing: Background[SavedReport] = Background()

    def require_space(self, live: Live) -> None:
        """Refuse to start a run whose states would not fit on the disk.

        Raises:
            DiskError: There is less room than two states and the best weights take.
        """
        if self.folder is None:
            return
        weights = _size(live.model.state_dict().values())
        trained = _size(p for group in live.optimizer.param_groups for p in group["params"])
        state = weights * (2 if live.ema else 1) + 2 * trained
        self.folder.require_space(2 * state + weights + state // 5)

    def save(
        self, live: Live, *, reason: str, best: Mapping[str, float] | None = None
    ) -> SavedReport | None:
        """Save, and wait until it is on the disk: :meth:`begin` and :meth:`collect`.

        Raises:
            DiskError: As :meth:`collect`.
            NumericsError: As :meth:`collect`.
        """
        self.begin(live, reason=reason, best=best)
        return self.collect(wait=True)

    def begin(
        self, live: Live, *, reason: str, best: Mapping[str, float] | None = None
    ) -> SavedReport | None:
        """Copy the whole state, and begin to write it down, in a thread.

        The best weights are written first: a kill in between leaves an older state, from which
        the run comes to this moment again.

        Args:
            live: What training changes; may change again as soon as this returns.
            reason: ``epoch``, ``interval``, ``stop`` or ``error``.
            best: Metrics of the best moment, if this is it.

        Returns:
            The report of the save before, if nobody had collected it.

        Raises:
            DiskError: The save before failed, see :meth:`collect`.
            NumericsError: The same.
            TypeError: An optimizer or schedule holds something that cannot be saved.
        """
        start = time.monotonic()
        earlier = self.collect(wait=True)
        if self.folder is None:
            live.take_part()
            return None
        moment = self._copy.take(live)
        held = time.monotonic() - start
        self._writing.start(partial(self._keep, moment, reason, best, start, held))
        return earlier

    def collect(self, *, wait: bool) -> SavedReport | None:
        """The report of a save that :meth:`begin` began, once.

        Args:
            wait: Until it is on the disk. Of several ranks, all have to ask, and all learn of a
                failure; without waiting, a failure is kept for when they do (:attr:`failed`).

        Returns:
            ``None`` if nothing was begun, if it is still being written, and on ranks that do not
            write.

        Raises:
            DiskError: The system refused, also after older states were deleted, or what was
                written does not read back; says which state stays valid.
            NumericsError: The model is not finite; such a state is never saved.
        """
        if self.world.size == 1:
            return self._writing.collect(wait=wait)
        if wait:
            found = self.world.lead(self.drain)
            return found if self.folder else None
        return None if self.failed else self._writing.collect(wait=False)

    @property
    def failed(self) -> bool:
        """Whether a save failed and :meth:`collect` has not said so yet."""
        return self._writing.failed

    def drain(self) -> SavedReport | None:
        """:meth:`collect` and wait, without agreeing with other ranks: for the way out."""
        return self._writing.collect(wait=True)

    def _keep(
        self,
        moment: Moment,
        reason: str,
        best: Mapping[str, float] | None,
        start: float,
        held: float,
    ) -> SavedReport:
        """What the thread does."""
        assert self.folder is not None
        broken = moment.not_finite()
        if broken:
            raise NumericsError(
                f"{broken} is not finite after step {moment.step}; nothing was saved"
                f"{self._valid()}",
                hint="lower --lr, or clip the gradient with --set optim.clip=1",
            )
        path = state_path(self.folder.path, moment.step)
        self._write(moment, path, best)
        try:
            prune_states(self.folder.path, self.keep)
        except CheckpointError as error:
            raise DiskError(
                f"what was just saved does not read back: {error.message}{self._valid()}",
                hint="the disk is failing: choose another with --set output.dir=FOLDER",
            ) from error
        self.last_good = moment.step
        return SavedReport(
            path=path,
            step=moment.step,
            epoch=moment.epoch,
            reason=reason,
            seconds=time.monotonic() - start,
            held=held,
            best=best is not None,
        )

    def _write(self, moment: Moment, path: Path, best: Mapping[str, float] | None) -> None:
        try:
            self._write_once(moment, path, best)
        except DiskError as error:
            if not self._make_room():
                raise self._refused(error) from error
            try:
                self._write_once(moment, path, best)
            except DiskError as again:
                raise self._refused(again) from again

    def _write_once(self, moment: Moment, path: Path, best: Mapping[str, float] | None) -> None:
        assert self.folder is not None
        self.folder.require_there()
        self.folder.flush()
        staging = self.folder.staging
        if best is not None:
            finite = {name: value for name, value in best.items() if math.isfinite(value)}
            info = replace(self.info, epoch=moment.epoch, step=moment.step, metrics=finite)
            save_weights(self.folder.path / WEIGHTS_FILE, moment.weights(), info, staging=staging)
        save_state(path, moment, self.info, environment=self.environment, staging=staging)

    def _make_room(self) -> bool:
        """Delete all states but the newest good one; whether that gave any room."""
        assert self.folder is not None
        good = newest_state(self.folder.path).state
        gone = 0
        for _, path in list_states(self.folder.path):
            if good and path != good.path:
                with contextlib.suppress(OSError):
                    path.unlink()
                    gone += 1
        return gone > 0

    def _refused(self, error: DiskError) -> DiskError:
        return DiskError(f"{error.message}{self._valid()}", hint=error.hint)

    def _valid(self) -> str:
        return "" if self.last_good is None else f"; the state of step {self.last_good} stays valid"

    def resume(self, live: Live) -> Found:
        """Put the newest good state into live objects, on every rank; waits for a save.

        Returns:
            What was found; ``state`` is ``None`` if the run has none, and live is untouched.

        Raises:
            CheckpointError: The newest good state does not fit the live objects.
            DiskError: The save that was waited for failed.
        """
        self.collect(wait=True)
        found = Found(None)
        if self.folder is not None:
            found = newest_state(self.folder.path)
        found = self.world.share(found)
        if found.state is not None:
            found.state.restore(live)
            self.last_good = found.state.step
        if self.folder is not None:
            self.folder.rewind(live.position)
        return found


def _size(tensors: Any) -> int:
    return sum(t.numel() * t.element_size() for t in tensors if isinstance(t, torch.Tensor))


@contextlib.contextmanager
def left_safely(keeper: Keeper | None) -> Iterator[None]:
    """Wait for the save that is being written where the block is left by an error.

    Args:
        keeper: Whose save; without one nothing is waited for.

    Raises:
        DiskError: It could not be written, and the consumer only closed the generator; any
            other error stands, with a note.
    """
    try:
        yield
    except BaseException as error:
        try:
            if keeper is not None:
                keeper.drain()
        except ZooError as lost:
            if isinstance(error, GeneratorExit):
                raise
            error.add_note(f"besides: {lost.message}")
        raise
