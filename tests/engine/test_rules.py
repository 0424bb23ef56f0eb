import pytest

from zoo.engine.rules import Rules, parse_every, parse_time
from zoo.errors import UsageError


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (None, (None, None)),
        ("200", (200, None)),
        ("90s", (None, 90.0)),
        ("10m", (None, 600.0)),
        ("1.5h", (None, 5400.0)),
    ],
)
def test_steps_and_times_are_read(text, found):
    assert parse_every(text) == found


@pytest.mark.parametrize("text", ["", "0", "-3", "0m", "-1m", "nanm", "infh", "ten", "m", "1.5"])
def test_anything_else_is_refused(text):
    with pytest.raises(UsageError, match="neither a number of steps nor a time"):
        parse_every(text)


@pytest.mark.parametrize(
    ("text", "found"), [(None, None), ("90s", 90.0), ("30m", 1800.0), ("1.5h", 5400.0)]
)
def test_times_are_read(text, found):
    assert parse_time(text) == found


@pytest.mark.parametrize("text", ["", "90", "0m", "-1m", "nanm", "infh", "m", "2d"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(UsageError, match="is no time"):
        parse_time(text)


def test_what_is_better_depends_on_the_goal():
    assert Rules(epochs=1).better(0.9, 0.8)
    assert not Rules(epochs=1).better(0.8, 0.8)
    assert Rules(epochs=1, monitor="loss", goal="min").better(0.7, 0.8)


def test_rules_cannot_be_changed_while_they_are_followed():
    with pytest.raises(AttributeError):
        Rules(epochs=1).epochs = 2
