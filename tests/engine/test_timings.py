import subprocess
import sys
import time
from dataclasses import dataclass

import pytest

from zoo.engine import timings
from zoo.engine.timings import TOPICS, Timings, Waited, process_began


class StepReport:
    pass


class EpochReport:
    pass


class Note:
    pass


@dataclass
class SavedReport:
    held: float = 0.0


class Clock:
    """A clock that a test turns."""

    def __init__(self):
        self.now = 100.0

    def monotonic(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    turned = Clock()
    monkeypatch.setattr(timings.time, "monotonic", turned.monotonic)
    return turned


class Slow:
    """Gives three batches, two seconds each."""

    batches_per_epoch = 3

    def __init__(self, clock, seconds=2.0):
        self.clock, self.seconds, self.closed = clock, seconds, False

    def __len__(self):
        return 3

    def epoch(self, epoch, start_batch=0):
        try:
            for number in range(start_batch, 3):
                self.clock.now += self.seconds
                yield epoch, number
        finally:
            self.closed = True


class Prefix:
    """Computes one second on each batch of a loader."""

    def __init__(self, clock, loader):
        self.clock, self.loader = clock, loader

    def epoch(self, epoch, start_batch=0):
        for batch in self.loader.epoch(epoch, start_batch):
            self.clock.now += 1.0
            yield batch


def test_laps_add_up_to_the_total(clock):
    found = Timings()
    for topic, seconds in (("data", 1.0), ("build", 2.5), ("data", 0.5)):
        clock.now += seconds
        found.lap(topic)
    clock.now += 7  # nobody has asked since
    assert found.seconds == {"data": 1.5, "build": 2.5}
    assert found.to_dict() == {"data": 1.5, "build": 2.5, "total": 4.0}


def test_each_report_has_the_time_that_it_took(clock):
    def loop():
        for seconds, report in (
            (3.0, StepReport()),
            (1.0, Note()),
            (2.0, StepReport()),
            (4.0, EpochReport()),
            (0.5, SavedReport(held=0.5)),
        ):
            clock.now += seconds
            yield report
        clock.now += 0.25

    found = Timings(began=90.0)
    found.lap("start")
    for _ in found.through(loop()):
        clock.now += 0.1
    assert found.seconds["start"] == 10
    assert found.seconds["compute"] == pytest.approx(6.0)  # a note belongs to the step before
    assert found.seconds["evaluate"] == pytest.approx(4.0)
    assert found.seconds["save"] == pytest.approx(0.75)
    assert found.seconds["report"] == pytest.approx(0.5)
    assert found.first_step == pytest.approx(13.0)
    assert sum(found.seconds.values()) == pytest.approx(found.total)


def test_a_save_beside_the_steps_takes_only_what_it_held_up(clock):
    def loop():
        for report in (StepReport(), StepReport(), SavedReport(held=0.4)):
            clock.now += 1.0 if isinstance(report, StepReport) else 0.0
            yield report

    found = Timings()
    list(found.through(loop()))
    assert found.seconds["save"] == pytest.approx(0.4)
    assert found.seconds["compute"] == pytest.approx(1.6)


def test_what_a_save_held_up_is_counted_once_where_the_one_before_is_told_of_beside_it(clock):
    def loop():
        clock.now += 1.0
        yield StepReport()
        clock.now += 1.0
        yield EpochReport()
        clock.now += 0.5  # the first save has come to its end, and the second begins
        yield SavedReport(held=0.0)
        clock.now += 0.1
        yield StepReport()
        yield SavedReport(held=0.5)

    found = Timings()
    list(found.through(loop()))
    assert found.seconds["save"] == pytest.approx(0.5)
    assert found.seconds["compute"] == pytest.approx(1.1)
    assert found.seconds["evaluate"] == pytest.approx(1.0)


def one_epoch(clock, train, val):
    """The timings of an epoch whose steps take 5 s each, and whose evaluation 1 s a batch."""

    def loop():
        for _ in train.epoch(0):
            clock.now += 5
            yield StepReport()
        for _ in val.epoch(0):
            clock.now += 1
        yield EpochReport()

    found = Timings()
    list(found.through(loop()))
    found.waits(train, val)
    return found


def test_waiting_for_images_is_told_from_computing(clock):
    found = one_epoch(clock, Waited(Slow(clock)), Waited(Slow(clock)))
    assert found.to_dict() == {"load": 6.0, "compute": 15.0, "evaluate": 9.0, "first_step": 7.0,
                               "total": 30.0}  # fmt: skip


def test_outputs_of_the_frozen_part_are_told_from_both(clock):
    train = Waited(Prefix(clock, Waited(Slow(clock))))
    val = Waited(Prefix(clock, Waited(Slow(clock))))
    found = one_epoch(clock, train, val)
    assert found.seconds["load"] == 6
    assert found.seconds["compute"] == 15
    assert found.seconds["frozen"] == 6  # three batches of each
    assert found.seconds["evaluate"] == 9
    assert sum(found.seconds.values()) == pytest.approx(found.total)


def test_a_watched_loader_is_the_loader(clock):
    slow = Slow(clock)
    watched = Waited(slow)
    assert list(watched.epoch(4, 1)) == [(4, 1), (4, 2)]
    assert watched.seconds == 4
    assert len(watched) == watched.batches_per_epoch == 3
    batches = watched.epoch(0)
    next(batches)
    batches.close()
    assert slow.closed
    with pytest.raises(AttributeError):
        watched.nothing  # noqa: B018


def test_topics_are_said_in_the_order_of_a_run(clock):
    found = Timings()
    for topic in reversed(TOPICS):
        clock.now += 1
        found.lap(topic)
    assert list(found.to_dict()) == [*TOPICS, "total"]


def test_the_process_began_before_its_first_line():
    probe = (
        "import time; time.sleep(0.3); from zoo.engine.timings import process_began as p; "
        "print(time.monotonic() - p())"
    )
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    outside = time.monotonic() - began
    assert 0.29 <= float(done.stdout) <= outside + 0.05


def test_without_proc_the_cpu_time_is_the_least(monkeypatch):
    def missing(_path):
        raise FileNotFoundError

    monkeypatch.setattr(timings.Path, "read_text", missing)
    assert time.monotonic() - process_began() >= time.process_time() - 0.1
