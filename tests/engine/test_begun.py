"""zoo.engine.begun: what an interrupted run had decided."""

from types import SimpleNamespace

from zoo.core import registry
from zoo.core.metadata import CheckpointInfo
from zoo.core.request import request
from zoo.engine.begun import Begun
from zoo.engine.prefix.setting import Views
from zoo.engine.saving.live import Position

WITH = request("train", "lenet", {"teacher": "run:big"}, registry=registry.load()).recipe
ALONE = request("train", "lenet", {}, registry=registry.load()).recipe


def state(info, **position):
    return SimpleNamespace(info=info, position=lambda: Position(**position))


def test_a_run_without_a_save_knows_where_its_teacher_is_and_no_more():
    assert Begun.of(None, WITH) == Begun(teacher="run:big")
    assert Begun.of(None, ALONE) == Begun()


def test_what_was_shown_and_who_taught_are_read_off_the_save():
    info = CheckpointInfo(teacher={"source": "run:big", "sha256": "ab"})
    found = Begun.of(state(info, views=3, parts=True), WITH)
    assert found == Begun(Views(3, parts=True), "run:big", "ab")


def test_a_save_of_an_older_zoo_says_nothing_of_either():
    assert Begun.of(state(CheckpointInfo()), ALONE) == Begun()
