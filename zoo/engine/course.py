"""What the loop keeps an eye on: time, saves, wishes to stop, the best epoch, broken losses."""

from __future__ import annotations

import math
import signal
import time
from itertools import islice
from typing import TYPE_CHECKING, Any

from zoo.engine.budget import Budget, ending
from zoo.engine.evaluate import Evaluation, evaluate
from zoo.engine.processes.deal import keep_batches
from zoo.engine.processes.sharded import gathered
from zoo.engine.reports import EpochReport, Note, SavedReport, StepReport
from zoo.engine.rules import MOST_ROLLBACKS, MOST_SKIPPED, Rules
from zoo.errors import DataError, Interrupted, NumericsError, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from torch import nn

    from zoo.core.protocols import Loss, Metric
    from zoo.engine.place import Place
    from zoo.engine.processes.distributed import World
    from zoo.engine.processes.signals import Stop
    from zoo.engine.saving.keeper import Keeper
    from zoo.engine.saving.live import Live
    from zoo.engine.step import Outcome

SLOW_DISK = 0.5
"""Seconds that a save may wait for the one before until it is said."""


class Course:
    """The bookkeeping of one :func:`zoo.engine.loop.fit`.

    Args:
        live: What training changes.
        rules: How long, what to watch, when to save.
        train: Loader of training images.
        val: Loader of validation images, or ``None``.
        place: Where and how precisely.
        world: The ranks.
        keeper: Saves, or ``None``.

    Raises:
        DataError: There is not one training batch.
        UsageError: The position counts batches of another size.
    """

    def __init__(
        self,
        live: Live,
        rules: Rules,
        *,
        train: Any,
        val: Any,
        place: Place,
        world: World,
        keeper: Keeper | None,
    ) -> None:
        self.live, self.rules = live, rules
        self.train, self.val = train, val
        self.place, self.world, self.keeper = place, world, keeper
        self.batches = int(train.batches_per_epoch)
        self.steps_per_epoch = math.ceil(self.batches / rules.accumulate)
        self._stop: Stop | None = None
        self._notes: list[str] = []
        self._told = {*_notes_of(train), *_notes_of(val)}  # these the plan has said
        self._saved_at = self._epoch_began = self._clock = time.monotonic()
        self._trained = self._evaluated = 0.0
        self._images = self._steps = self._gone = 0
        self._slow = self._lost = self._over = False
        self.trouble: DataError | None = None
        at = live.position
        self.budget = Budget(rules.max_seconds, at.seconds)
        if not self.batches:
            raise DataError(
                "the training images do not fill one batch", hint="--set data.batch_size=N, fewer"
            )
        keep_batches(at, rules.whole, world.size)
        at.finished = at.finished or at.epoch >= rules.epochs

    def watch(self, stop: Stop | None) -> None:
        """Look at ``stop`` between steps."""
        self._stop = stop

    @property
    def signal(self) -> int:
        """The signal that asked this rank to stop, or 0."""
        return self._stop.signal if self._stop else 0

    def remarks(self) -> list[str]:
        """What people should know, once: of the loop, and of what all ranks' loaders came upon."""
        notes, self._notes = self._notes, []
        mine = [n for n in (*_notes_of(self.train), *_notes_of(self.val)) if n not in self._told]
        everybodys = [note for share in self.world.gather(mine) for note in share]
        later = list(dict.fromkeys(everybodys))
        self._told.update(later)
        return [*notes, *later]

    def begin_epoch(self) -> None:
        """Start the clocks."""
        self._epoch_began = self._clock = time.monotonic()
        _moment(self.live.optimizer, "train")

    def windows(self) -> Iterator[list[Any]]:
        """The rest of the epoch, as lists of micro-batches that make an optimizer step each."""
        at = self.live.position
        if at.batch >= self.batches:
            return
        batches = iter(self.train.epoch(at.epoch, at.batch))
        try:
            while not self._over and (window := list(islice(batches, self.rules.accumulate))):
                yield window
        except DataError as error:
            if self.world.size == 1:
                raise
            self.trouble = error
            yield []  # the other ranks wait for this one's share, and learn why there is none
        finally:
            _moment(batches, "close")

    def flags(self) -> tuple[int, ...]:
        """What this rank wants the others to know: Ctrl-C, SIGTERM, time to save, a lost save, time up."""
        asked, limit = self.signal, self.rules.save_seconds
        late = limit is not None and time.monotonic() - self._saved_at >= limit
        lost = self.keeper is not None and self.keeper.failed
        over = not self.budget.fits(self._evaluated)
        return asked == signal.SIGINT, asked not in (0, signal.SIGINT), late, lost, over

    def save_due(self, outcome: Outcome) -> bool:
        """Whether a save inside the epoch is due, the same on every rank."""
        every = self.rules.save_steps
        return bool(outcome.flags[2]) or bool(every and self.live.position.step % every == 0)

    def stop_asked(self, outcome: Outcome) -> bool:
        """Whether some rank was asked to stop, the same on every rank."""
        if self.world.size == 1:  # nobody to agree with: do not wait for the next step
            return self.signal != 0
        ints, terms = outcome.flags[:2]
        if self._stop is not None and (ints or terms):
            self._stop.request(signal.SIGINT if ints else signal.SIGTERM)
        return bool(ints or terms)

    def interrupted(self) -> Interrupted:
        """The error that ends a run which was asked to stop."""
        at = self.live.position
        kept = "saved" if self.keeper else "nothing was saved"
        number = self.signal or signal.SIGTERM
        return Interrupted(
            f"stopped by {signal.Signals(number).name} after step {at.step}; {kept}",
            hint=self.rules.go_on,
            signal=number,
        )

    def advance(self, window: Sequence[Any], outcome: Outcome) -> StepReport:
        """Count an optimizer step, and report it."""
        at, now = self.live.position, time.monotonic()
        rate = max(self.live.schedule.rates)
        self._trained += now - self._clock
        self._clock = now
        self._lost, self._over = any(outcome.flags[3:4]), any(outcome.flags[4:])
        self._images += outcome.n
        self._steps += 1
        at.batch += len(window)
        at.step += 1
        if outcome.updated:
            at.skipped_in_row = 0
            hits = [outcome.top1 or 0.0, outcome.top5 or 0.0]
            gained = [outcome.loss * outcome.n, *hits, outcome.n]
            at.sums = [old + new for old, new in zip(at.sums, gained, strict=True)]
        self.live.schedule.step()
        known = outcome.top1 is not None and outcome.top5 is not None
        return StepReport(
            epoch=at.epoch,
            step=at.step,
            steps=self.steps_per_epoch * self.rules.epochs,
            batch=at.batch,
            batches=self.batches,
            n=outcome.n,
            loss=outcome.loss,
            top1=(outcome.top1 or 0.0) / outcome.n if known else None,
            top5=(outcome.top5 or 0.0) / outcome.n if known else None,
            lr=rate,
            grad_norm=outcome.norm,
            skipped=not outcome.updated,
            images_per_second=self._images / max(self._trained, 1e-9),
            eta=self._eta(),
        )

    def _eta(self) -> float:
        at = self.live.position
        left = self.steps_per_epoch * (self.rules.epochs - at.epoch) - math.ceil(
            at.batch / self.rules.accumulate
        )
        work = left * self._trained / max(1, self._steps)
        evaluations = self._evaluated * (self.rules.epochs - at.epoch)
        return min(work + evaluations, max(0.0, self.budget.left))

    def evaluate(
        self,
        model: nn.Module,
        *,
        loss: Loss,
        feed: Callable[..., Any],
        metrics: Mapping[str, Metric] | None,
    ) -> Evaluation | None:
        """Evaluate on the validation set, every rank its share of it.

        Raises:
            Stopped: Somebody asked the run to stop meanwhile.
        """
        _moment(self.live.optimizer, "eval")
        if self.val is None:
            return None
        start = time.monotonic()
        self.world.share_buffers(self.live.model)
        if self.live.ema:
            self.world.share_buffers(self.live.ema.module)
        with gathered(model):
            found = evaluate(
                model,
                self.val.epoch(0, 0),
                loss=loss,
                feed=feed,
                place=self.place,
                world=self.world,
                metrics=metrics,
                stop=False if self._stop is None else self._stop,
            )
        self._evaluated = time.monotonic() - start
        return found

    def end_epoch(self, val: Evaluation | None) -> EpochReport:
        """Judge an epoch, count it, and report it.

        Raises:
            UsageError: The monitored metric is not there.
        """
        at, rules = self.live.position, self.rules
        loss, top1, top5, n = at.sums
        known = bool(val and val.top1 is not None) or bool(top1 or top5)
        train = {"loss": loss / max(1.0, n), "top1": top1 / max(1.0, n), "top5": top5 / max(1.0, n)}
        judged = val.to_dict() if val else train
        if rules.monitor not in judged:
            raise UsageError(
                f"there is no {rules.monitor!r} to monitor; there is {', '.join(judged)}",
                hint="--set output.monitor=loss",
            )
        value = judged[rules.monitor]
        best = math.isfinite(value) and (at.best is None or rules.better(value, at.best))
        at.waited = 0 if best else at.waited + 1
        if best:
            at.best, at.best_epoch = value, at.epoch
        self.live.schedule.epoch(judged["loss"])
        report = EpochReport(
            epoch=at.epoch,
            epochs=rules.epochs,
            step=at.step,
            n=int(n),
            loss=train["loss"],
            top1=train["top1"] if known else None,
            top5=train["top5"] if known else None,
            lr=max(self.live.schedule.rates),
            val=val,
            value=value if math.isfinite(value) else None,
            best=best,
            waited=at.waited,
            seconds=time.monotonic() - self._epoch_began,
        )
        batch, at.batch, at.epoch, at.sums = at.batch, 0, at.epoch + 1, [0.0, 0.0, 0.0, 0.0]
        if self._gone:
            self._notes.append(
                f"steps left out, their loss or gradient was not finite: {self._gone}"
            )
            self._gone = 0
        weary = rules.patience is not None and at.waited >= rules.patience
        if weary and at.epoch < rules.epochs:
            self._notes.append(f"no better {rules.monitor} for {at.waited} epochs: stopping early")
        late = self._late(report.seconds)
        at.cut = late and batch < self.batches
        if rules.max_seconds and (at.cut or (late and not weary and at.epoch < rules.epochs)):
            done = at.epoch, rules.epochs
            self._notes.append(ending(rules.max_seconds, *done, batch=batch, batches=self.batches))
        at.finished = at.epoch >= rules.epochs or weary or late
        return report

    def _late(self, seconds: float) -> bool:
        """Whether there is no time for another epoch of so many seconds, the same on every rank."""
        if self.rules.max_seconds is None:
            return False
        at = self.live.position
        if at.views and at.epoch == at.views:  # it kept what the next ones only read: no measure
            seconds = self._evaluated = 0.0
        elif self.place.compile and self._steps <= self.steps_per_epoch:  # it compiled: no measure
            seconds = self._evaluated
        return self.world.share(self._over or not self.budget.fits(seconds))

    def save(self, reason: str, report: EpochReport | None = None) -> Iterator[SavedReport | Note]:
        """Save the state, and the best weights if this is the best, or nothing is so far.

        The state is copied; it is written down while training goes on, except where nothing goes
        on after it (``stop``, ``error``): there this waits until it is on the disk.
        """
        if self.keeper is None:
            return
        metrics = None
        if report is not None and (report.best or self.live.position.best_epoch is None):
            metrics = report.val.to_dict() if report.val else {"train/loss": report.loss}
        start, self.live.position.seconds = time.monotonic(), self.budget.spent
        done = [self.keeper.begin(self.live, reason=reason, best=metrics)]
        self._saved_at = self._clock = time.monotonic()
        if reason in ("stop", "error"):
            done.append(self.keeper.collect(wait=True))
        if reason == "stop":
            self.world.barrier()  # nobody leaves, and ends the launcher, before all is written
        elif reason == "interval" and self._saved_at - start > SLOW_DISK and not self._slow:
            self._slow = True
            yield Note(
                text=f"a save waited {self._saved_at - start:.1f} s for the one before it: the disk "
                "is slower than --save-every is often"
            )
        yield from (saved for saved in done if saved is not None)

    def saved(self, *, wait: bool = False) -> Iterator[SavedReport]:
        """What was written down since somebody looked.

        Raises:
            DiskError: It could not be written.
            NumericsError: It was not finite.
        """
        found = self.keeper.collect(wait=wait or self._lost) if self.keeper else None
        if found is not None:
            yield found

    def not_finite(self, window: Sequence[Any], outcome: Outcome) -> str:
        """Decide what to do about a step whose loss or gradient is not finite.

        Returns:
            ``""`` to go on without it, or what to tell people after going back to a save.

        Raises:
            NumericsError: The rules say stop, or nothing helped.
            DiskError: The last save, which was still being written, failed.
        """
        at, rules = self.live.position, self.rules
        where = (at.epoch, at.batch)
        if where in at.bad or not outcome.n:
            return ""
        broken = "gradient" if math.isfinite(outcome.loss) else "loss"
        value = outcome.norm if broken == "gradient" else outcome.loss
        said = f"the {broken} is {value} at step {at.step + 1} (epoch {at.epoch + 1})"
        if rules.on_nan == "skip" and at.skipped_in_row < MOST_SKIPPED:
            self._gone += 1
            at.skipped, at.skipped_in_row = at.skipped + 1, at.skipped_in_row + 1
            return ""
        if rules.on_nan == "rollback" and at.rollbacks < MOST_ROLLBACKS and self.keeper:
            bad, count = [*at.bad, where], at.rollbacks + 1
            if self.keeper.resume(self.live).state is not None:
                at = self.live.position
                at.bad, at.rollbacks = bad, count
                self.live.schedule.slow_down(0.5**count)
                return f"{said}; back to step {at.step} with the learning rate times {0.5**count}"
        error = NumericsError(
            f"{said}, in the batch of {self._names(window)}{self._last_good()}",
            hint="lower --lr, --set optim.clip=1, or --set optim.on_nan=skip",
        )
        error.everywhere = True
        raise error

    def _names(self, window: Sequence[Any]) -> str:
        keys = getattr(getattr(self.train, "images", None), "keys", None)
        mine = [int(index) for batch in window for index in batch.indices]
        indices = [index for share in self.world.gather(mine) for index in share]
        named = [str(keys[index]) if keys is not None else f"image {index}" for index in indices]
        more = f" and {len(named) - 3} more" if len(named) > 3 else ""
        return ", ".join(named[:3]) + more

    def _last_good(self) -> str:
        if self.keeper is not None:
            self.keeper.collect(wait=True)
        good = self.keeper.last_good if self.keeper else None
        return "; nothing is saved" if good is None else f"; the last good save is step {good}"


def _notes_of(loader: Any) -> tuple[str, ...]:
    return tuple(getattr(loader, "notes", ()))


def _moment(thing: Any, name: str) -> None:
    """Call a method where it exists: schedule-free optimizers have train() and eval()."""
    method = getattr(thing, name, None)
    if callable(method):
        method()
