"""zoo.core.recipe_data: the section of a recipe about images."""

import dataclasses

from zoo.core.fields import fields_of
from zoo.core.recipe import MAX_PIXELS, DataPart


def test_it_is_the_recipes_section():
    mine = {f"data.{field.name}" for field in dataclasses.fields(DataPart)}
    assert {key for key in fields_of() if key.startswith("data.")} == mine


def test_what_nobody_says():
    usual = DataPart()
    assert (usual.source, usual.val, usual.fold) == (None, None, None)
    assert (usual.batch_size, usual.views, usual.cache) == (32, "auto", "auto")
    assert usual.max_pixels == MAX_PIXELS
    assert DataPart().options is not usual.options
