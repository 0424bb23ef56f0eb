from __future__ import annotations

import pytest

from zoo.engine.prefix.choice import auto_views, parse_views
from zoo.errors import UsageError


@pytest.mark.parametrize(
    ("images", "epochs", "in_windows", "for_a_head", "evenly"),
    [
        (1200, 5, 0, 3, 3),
        (1200, 6, 0, 3, 3),  # not samples enough
        (1200, 12, 9, 6, 6),
        (600, 20, 17, 10, 10),
        (1200, 20, 10, 8, 7),
        (1200, 50, 25, 20, 17),  # a longer run needs more of them
        (4800, 20, 10, 8, 7),
        (4800, 50, 25, 9, 9),  # or forty thousand samples
        (1200, 1, 0, 0, 0),  # nothing would be seen again
        (10_000, 20, 10, 4, 4),
        (10_000, 50, 25, 4, 4),
        (60_000, 50, 25, 1, 1),
        (499, 20, 0, 0, 0),  # few images
    ],
)
def test_a_view_is_seen_twice_if_there_are_samples_enough(
    images, epochs, in_windows, for_a_head, evenly
):
    assert auto_views(images, epochs) == 0  # whole maps do not come back
    assert auto_views(images, epochs, windows=True) == in_windows
    assert auto_views(images, epochs, windows=True, even=True) == in_windows
    assert auto_views(images, epochs, head=True) == for_a_head
    assert auto_views(images, epochs, head=True, even=True) == evenly


@pytest.mark.parametrize(("given", "meant"), [("fresh", 0), ("auto", None), ("4", 4), (4, 4)])
def test_what_can_be_asked_for(given, meant):
    assert parse_views(given) == meant


@pytest.mark.parametrize("given", ["many", "-1", -1, "1.5"])
def test_anything_else_is_an_error_with_examples(given):
    with pytest.raises(UsageError, match="is not a number") as caught:
        parse_views(given)
    assert "--views 4, fresh, or auto" in caught.value.hint
