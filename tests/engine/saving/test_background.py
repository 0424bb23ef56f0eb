import threading

import pytest

from zoo.engine.saving.background import Background
from zoo.errors import DiskError


def test_nothing_begun_gives_nothing():
    assert Background().collect(wait=True) is None
    assert not Background().busy


def test_work_runs_beside_and_its_result_is_given_once():
    work: Background[str] = Background()
    gate = threading.Event()
    work.start(lambda: (gate.wait(10), threading.current_thread().name)[1])
    assert work.busy
    assert work.collect(wait=False) is None
    gate.set()
    assert work.collect(wait=True) == "zoo-save"
    assert work.collect(wait=True) is None


def test_an_error_is_raised_where_it_is_collected_once():
    work: Background[None] = Background()

    def fail():
        raise DiskError("the disk is full")

    work.start(fail)
    with pytest.raises(DiskError, match="the disk is full"):
        work.collect(wait=True)
    assert work.collect(wait=True) is None
    work.start(lambda: None)
    work.collect(wait=True)


def test_two_pieces_of_work_at_once_are_refused():
    work: Background[int] = Background()
    work.start(lambda: 1)
    with pytest.raises(RuntimeError, match="not collected"):
        work.start(lambda: 2)
    assert work.collect(wait=True) == 1
