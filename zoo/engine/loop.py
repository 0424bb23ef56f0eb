"""The training loop: a generator of reports that is read from top to bottom.

For each epoch: unfreeze what is due; for each window of micro-batches one optimizer step and one
report; evaluate; save. The run's position is right at every yield, so that it may be saved, and
left, at any of them. Saves are written down beside the steps (see the keeper).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.engine.course import Course
from zoo.engine.evaluate import Stopped
from zoo.engine.processes import wrapping
from zoo.engine.processes.distributed import ALONE
from zoo.engine.reports import Note
from zoo.engine.saving.keeper import left_safely
from zoo.engine.step import Stepper
from zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from torch import nn

    from zoo.core.protocols import Loss, Metric
    from zoo.engine.place import Place
    from zoo.engine.processes.distributed import World
    from zoo.engine.processes.signals import Stop
    from zoo.engine.reports import Report
    from zoo.engine.rules import Rules
    from zoo.engine.saving.keeper import Keeper
    from zoo.engine.saving.live import Live
    from zoo.engine.teacher import Teacher


def fit(
    live: Live,
    rules: Rules,
    *,
    train: Any,
    loss: Loss,
    feed: Callable[..., Any],
    place: Place,
    val: Any = None,
    world: World = ALONE,
    keeper: Keeper | None = None,
    stop: Stop | None = None,
    metrics: Mapping[str, Metric] | None = None,
    hold: Callable[[nn.Module], object] = lambda _model: None,
    thaw: Callable[[int], bool] = lambda _epoch: False,
    cut: Callable[[nn.Module], nn.Module] = lambda model: model,
    teacher: Teacher | None = None,
) -> Generator[Report, None, None]:
    """Train from the live position to the end of the rules.

    Args:
        live: Model, optimizer, schedule, counters; already restored if the run is resumed.
        rules: How long, what to watch, when to save.
        train: Loader: ``epoch(epoch, start_batch)`` gives batches, ``batches_per_epoch``.
        loss: ``(outputs, targets) -> ()``, mean over the batch.
        feed: Prepares a batch (:class:`zoo.engine.feed.Feed`).
        place: Where and how precisely.
        val: Loader of validation images; without it the training numbers are monitored.
        world: The ranks.
        keeper: Saves; without it nothing is written.
        stop: Becomes true when somebody asks the run to stop.
        metrics: Further metrics on the validation set, by name.
        hold: Called after each ``model.train()``: puts frozen parts back into eval.
        thaw: Called with each epoch before it: unfreezes what is due; whether anything changed.
        cut: The part of a model that training and evaluation run (see the prefix cache).
        teacher: Whose answers count in the loss, too.

    Yields:
        A report per optimizer step, per epoch, per save (once it is on the disk), and remarks.
        Closing the generator waits for a save that is being written.

    Raises:
        Interrupted: Asked to stop; the state is saved.
        NumericsError: The loss is not finite and the rules do not allow for it.
        DataError: An image cannot be read, or a loader process died; the state is saved.
        DiskError: A state could not be saved; raised after the next step.
    """
    course = Course(live, rules, train=train, val=val, place=place, world=world, keeper=keeper)
    course.watch(stop)
    how = {**rules.steps, "teacher": teacher}
    stepper = Stepper(live, loss=loss, feed=feed, place=place, world=world, **how)
    module: nn.Module | None = None
    with left_safely(keeper):
        while not live.position.finished:
            if thaw(live.position.epoch) or module is None:
                module = wrapping.wrap(cut(live.model), world, place)
            live.model.train()
            hold(live.model)
            course.begin_epoch()
            stepper.begin_epoch()
            try:
                for window in course.windows():
                    outcome = stepper.step(
                        module, window, flags=course.flags, trouble=course.trouble
                    )
                    yield from (Note(text=text) for text in stepper.remarks())
                    if not outcome.updated and (text := course.not_finite(window, outcome)):
                        yield Note(text=text)
                        break  # back at an earlier position: begin its epoch again
                    yield course.advance(window, outcome)
                    yield from course.saved()
                    if course.save_due(outcome):
                        yield from course.save("interval")
                    if course.stop_asked(outcome):
                        yield from course.save("stop")
                        raise course.interrupted()
                else:
                    found = course.evaluate(cut(live.judged), loss=loss, feed=feed, metrics=metrics)
                    report = course.end_epoch(found)
                    yield report
                    yield from (Note(text=text) for text in course.remarks())
                    yield from course.save("epoch", report)
            except Stopped:
                yield from course.save("stop")
                raise course.interrupted() from None
            except DataError:
                yield from course.save("error")
                raise
        yield from course.saved(wait=True)
