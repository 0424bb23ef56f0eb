from __future__ import annotations

import pytest

from zoo.engine.prefix.choice import auto_views, parse_views
from zoo.errors import UsageError


@pytest.mark.parametrize(
    ("images", "epochs", "views", "for_a_head"),
    [
        (1200, 5, 1, 1),
        (1200, 6, 3, 1),
        (1200, 20, 8, 2),
        (1200, 1, 0, 0),  # nothing would be seen again
        (10_000, 50, 20, 5),
        (499, 5, 0, 0),  # few images
        (100, 50, 0, 0),
    ],
)
def test_a_view_is_seen_a_few_times_and_few_images_are_drawn_anew(
    images, epochs, views, for_a_head
):
    assert auto_views(images, epochs) == views
    assert auto_views(images, epochs, head=True) == for_a_head


@pytest.mark.parametrize(("given", "meant"), [("fresh", 0), ("auto", None), ("4", 4), (4, 4)])
def test_what_can_be_asked_for(given, meant):
    assert parse_views(given) == meant


@pytest.mark.parametrize("given", ["many", "-1", -1, "1.5"])
def test_anything_else_is_an_error_with_examples(given):
    with pytest.raises(UsageError, match="is not a number") as caught:
        parse_views(given)
    assert "--views 4, fresh, or auto" in caught.value.hint
