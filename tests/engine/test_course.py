import math
import signal
import time
from dataclasses import replace

import pytest
import torch
from tinyrun import CPU, TinyLoader, TinyRun

from zoo.engine.course import Course
from zoo.engine.evaluate import Evaluation
from zoo.engine.processes.distributed import ALONE, World
from zoo.engine.processes.signals import Stop
from zoo.engine.rules import MOST_SKIPPED, Rules
from zoo.engine.step import Outcome
from zoo.errors import DataError, NumericsError, UsageError

OUTCOME = Outcome(n=8, loss=0.5, top1=4.0, top5=8.0, norm=None, updated=True, flags=(0, 0, 0))
NAN = Outcome(n=8, loss=math.nan, top1=0, top5=0, norm=None, updated=False, flags=(0, 0, 0))


def course(tmp_path, *, world=ALONE, train=None, keeper=None, **rules):
    run = TinyRun(tmp_path / "unused")
    rules = Rules(**({"epochs": 3, "accumulate": 2} | rules))
    train = train or TinyLoader()
    return Course(run.live, rules, train=train, val=run.val, place=CPU, world=world, keeper=keeper)


def val(**numbers):
    return Evaluation(n=10, metrics={}, **({"loss": 1.0, "top1": 0.5, "top5": 1.0} | numbers))


def test_windows_are_the_rest_of_the_epoch(tmp_path):
    made = course(tmp_path)
    assert [len(w) for w in made.windows()] == [2, 2, 2]
    made.live.position.batch = 4
    assert [len(w) for w in made.windows()] == [2]
    made.live.position.batch = 6
    assert list(made.windows()) == []
    made = course(tmp_path, accumulate=4)
    assert [len(w) for w in made.windows()] == [4, 2]


def test_leaving_an_epoch_closes_its_iterator(tmp_path):
    closed = []

    class Watched(TinyLoader):
        def epoch(self, epoch, start_batch=0):
            try:
                yield from super().epoch(epoch, start_batch)
            finally:
                closed.append(epoch)

    windows = course(tmp_path, train=Watched()).windows()
    next(windows)
    windows.close()
    assert closed == [0]


def test_a_step_is_counted_and_reported(tmp_path):
    made = course(tmp_path)
    made.begin_epoch()
    report = made.advance([None, None], OUTCOME)
    at = made.live.position
    assert (at.epoch, at.batch, at.step) == (0, 2, 1)
    assert at.sums == [4.0, 4.0, 8.0, 8.0]
    assert (report.step, report.steps, report.batch, report.batches) == (1, 9, 2, 6)
    assert (report.loss, report.top1, report.top5) == (0.5, 0.5, 1.0)
    assert report.eta > 0
    assert report.images_per_second > 0


def test_a_step_left_out_counts_as_a_step_but_not_in_the_sums(tmp_path):
    made = course(tmp_path, on_nan="skip")
    assert made.not_finite([], NAN) == ""
    report = made.advance([None, None], NAN)
    at = made.live.position
    assert (at.step, at.skipped, at.skipped_in_row) == (1, 1, 1)
    assert at.sums == [0.0] * 4
    assert report.skipped
    made.advance([None, None], OUTCOME)
    assert (at.skipped, at.skipped_in_row) == (1, 0)


def test_too_many_in_a_row_are_too_many(tmp_path):
    made = course(tmp_path, on_nan="skip")
    for _ in range(MOST_SKIPPED):
        made.not_finite([], NAN)
    with pytest.raises(NumericsError):
        made.not_finite([], NAN)


def test_a_broken_loss_names_its_images_and_the_last_save(tmp_path):
    made = course(tmp_path)
    window = next(made.windows())
    with pytest.raises(NumericsError) as caught:
        made.not_finite(window, NAN)
    first = int(window[0].indices[0])
    assert (
        f"the loss is nan at step 1 (epoch 1), in the batch of image-{first:03d}.png, image-"
        in (caught.value.message)
    )
    assert caught.value.message.endswith("and 5 more; nothing is saved")
    gradient = Outcome(8, 0.5, 1, 1, math.inf, updated=False)
    with pytest.raises(NumericsError, match="the gradient is inf"):
        made.not_finite(window, gradient)


def test_an_epoch_is_judged_by_what_is_monitored(tmp_path):
    made = course(tmp_path, monitor="top1")
    first = made.end_epoch(val(top1=0.5))
    assert (first.best, first.value, first.waited) == (True, 0.5, 0)
    assert not made.end_epoch(val(top1=0.5)).best
    at = made.live.position
    assert (at.epoch, at.batch, at.best, at.best_epoch, at.waited) == (2, 0, 0.5, 0, 1)
    assert made.end_epoch(val(top1=0.6)).best
    assert at.finished


def test_less_is_better_for_a_loss(tmp_path):
    made = course(tmp_path, monitor="loss", goal="min", epochs=9)
    assert [made.end_epoch(val(loss=x)).best for x in (1.0, 0.5, 0.7, 0.4)] == [
        True, True, False, True,
    ]  # fmt: skip


def test_nan_is_never_the_best(tmp_path):
    made = course(tmp_path, monitor="loss", goal="min")
    report = made.end_epoch(val(loss=math.nan))
    assert (report.best, report.value) == (False, None)
    assert made.live.position.best is None


def test_patience_ends_the_run_and_says_so(tmp_path):
    made = course(tmp_path, patience=2, epochs=9)
    for value in (0.5, 0.4):
        made.end_epoch(val(top1=value))
        assert not made.live.position.finished
    made.end_epoch(val(top1=0.5))
    assert made.live.position.finished
    assert made.remarks() == ["no better top1 for 2 epochs: stopping early"]
    assert made.remarks() == []


def test_time_that_is_up_ends_the_epoch_and_the_run(tmp_path):
    made = course(tmp_path, max_seconds=0.05)
    windows = made.windows()
    window = next(windows)
    made.advance(window, Outcome(8, 0.5, 1, 1, None, updated=True, flags=made.flags()))
    time.sleep(0.06)
    assert made.flags()[4]
    made.advance(next(windows), Outcome(8, 0.5, 1, 1, None, updated=True, flags=made.flags()))
    assert list(windows) == []
    made.end_epoch(val())
    at = made.live.position
    assert (at.finished, at.epoch, at.batch) == (True, 1, 0)
    assert made.remarks() == [
        "the time (0.05 s) is up after 1 of 3 epochs, the last of them cut short at 4 of 6 batches"
    ]


def test_an_epoch_that_would_not_end_in_time_is_not_begun(tmp_path):
    made = course(tmp_path, max_seconds=0.5)
    made.begin_epoch()
    made.live.position.batch = 6
    made.end_epoch(val())
    assert not made.live.position.finished
    made.begin_epoch()
    time.sleep(0.3)
    made.live.position.batch = 6
    made.end_epoch(val())
    assert made.live.position.finished
    (said,) = made.remarks()
    assert "up after 2 of 3 epochs; with --epochs 2" in said


def test_the_last_epoch_cut_short_is_said_like_any_other(tmp_path):
    made = course(tmp_path, max_seconds=60.0, epochs=1)
    made.advance([None] * 2, Outcome(8, 0.5, 1, 1, None, updated=True, flags=(0, 0, 0, 0, 1)))
    made.end_epoch(val())
    at = made.live.position
    assert (at.finished, at.epoch, at.cut) == (True, 1, True)
    assert made.remarks() == [
        "the time (60 s) is up after 1 of 1 epochs, the last of them cut short at 2 of 6 batches"
    ]


def test_a_whole_last_epoch_is_no_early_end_though_the_time_is_up(tmp_path):
    made = course(tmp_path, max_seconds=60.0, epochs=1)
    made.advance([None] * 6, Outcome(8, 0.5, 1, 1, None, updated=True, flags=(0, 0, 0, 0, 1)))
    made.end_epoch(val())
    assert (made.live.position.finished, made.live.position.cut) == (True, False)
    assert made.remarks() == []


def test_the_epoch_that_filled_the_cache_is_no_measure_of_the_next(tmp_path):
    made = course(tmp_path, max_seconds=0.5, epochs=9)
    made.live.position.views = 1
    for slow in (True, False, True):
        made.begin_epoch()
        time.sleep(0.3 if slow else 0.0)
        made.live.position.batch = 6
        assert not made.live.position.finished
        made.end_epoch(val())
    assert made.live.position.finished
    assert made.live.position.epoch == 3


def test_the_epoch_that_compiled_is_no_measure_of_the_next(tmp_path):
    made = course(tmp_path, max_seconds=0.5, epochs=9)
    made.place = replace(CPU, compile=True)
    for slow in (True, False, True):
        made.begin_epoch()
        time.sleep(0.3 if slow else 0.0)
        for _ in range(3):
            made.advance([None] * 2, OUTCOME)
        assert not made.live.position.finished
        made.end_epoch(val())
    assert made.live.position.finished
    assert made.live.position.epoch == 3


def test_another_ranks_clock_ends_the_epoch_here(tmp_path):
    made = course(tmp_path, max_seconds=60.0)
    windows = made.windows()
    made.advance(next(windows), Outcome(8, 0.5, 1, 1, None, updated=True, flags=(0, 0, 0, 0, 1)))
    assert list(windows) == []


def test_what_is_left_of_the_time_bounds_the_forecast(tmp_path):
    made = course(tmp_path, max_seconds=0.5, epochs=1000)
    made.begin_epoch()
    time.sleep(0.02)
    assert made.advance([None] * 2, OUTCOME).eta <= 0.5


def test_an_unknown_metric_to_monitor_is_said(tmp_path):
    with pytest.raises(UsageError, match="there is no 'auc' to monitor"):
        course(tmp_path, monitor="auc").end_epoch(val())


def test_without_validation_the_training_numbers_count(tmp_path):
    made = course(tmp_path)
    made.advance([None] * 2, OUTCOME)
    report = made.end_epoch(None)
    assert (report.value, report.val, report.loss) == (0.5, None, 0.5)


def test_signals_are_flags_that_ranks_agree_on(tmp_path):
    stop = Stop()
    made = course(tmp_path, save_seconds=0.01)
    made.watch(stop)
    assert made.flags()[:2] == (False, False)
    stop.request(signal.SIGTERM)
    time.sleep(0.02)
    assert made.flags() == (False, True, True, False, False)
    assert made.stop_asked(OUTCOME)
    error = made.interrupted()
    assert (error.code, error.signal) == (143, signal.SIGTERM)
    assert "nothing was saved" in error.message


def test_another_ranks_signal_stops_this_one(tmp_path):
    made = course(tmp_path, world=World(1, 2))
    made.watch(Stop())
    asked = Outcome(8, 0.5, 1, 1, None, updated=True, flags=(1, 0, 0))
    assert not made.stop_asked(OUTCOME)
    assert made.stop_asked(asked)
    assert made.interrupted().code == 130


def test_saves_are_due_by_steps_and_by_time(tmp_path):
    made = course(tmp_path, save_steps=3)
    made.live.position.step = 2
    assert not made.save_due(OUTCOME)
    made.live.position.step = 3
    assert made.save_due(OUTCOME)
    late = Outcome(8, 0.5, 1, 1, None, updated=True, flags=(0, 0, 1))
    assert course(tmp_path).save_due(late)
    assert list(course(tmp_path).save("epoch")) == []


def test_not_one_batch_is_a_data_error(tmp_path):
    with pytest.raises(DataError, match="do not fill one batch"):
        course(tmp_path, train=TinyLoader(count=0))


def test_another_number_of_processes_inside_an_epoch_is_refused(tmp_path):
    run = TinyRun(tmp_path / "unused")
    run.live.position.batch, run.live.position.world = 2, 4
    with pytest.raises(UsageError, match="with batches of 4 processes, now they are of 1"):
        Course(
            run.live,
            Rules(epochs=1),
            train=run.train,
            val=None,
            place=CPU,
            world=ALONE,
            keeper=None,
        )
    run.live.position.batch = 0
    Course(
        run.live, Rules(epochs=1), train=run.train, val=None, place=CPU, world=ALONE, keeper=None
    )
    assert run.live.position.world == 1


def test_schedule_free_optimizers_get_their_moments(tmp_path):
    made = course(tmp_path)
    seen = []
    made.live.optimizer.train = lambda: seen.append("train")
    made.live.optimizer.eval = lambda: seen.append("eval")
    made.begin_epoch()
    made.evaluate(
        made.live.model, loss=torch.nn.functional.cross_entropy,
        feed=lambda batch, train: (batch.images.float(), batch.labels), metrics=None,
    )  # fmt: skip
    assert seen == ["train", "eval"]


def test_what_loaders_come_upon_later_is_said_once(tmp_path):
    train = TinyLoader()
    train.notes = ("the plan has said this",)
    made = course(tmp_path, train=train)
    assert made.remarks() == []
    train.notes = (*train.notes, "the cache cannot be written")
    assert made.remarks() == ["the cache cannot be written"]
    assert made.remarks() == []
