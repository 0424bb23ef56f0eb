import dataclasses

import pytest

from zoo.core.fields import fields_of
from zoo.core.recipe import Recipe

FIELDS = fields_of()
SECTIONS = ["model", "surgery", "freeze", "data", "loss", "optim", "device", "output"]


def test_the_tree_has_these_sections():
    assert [f.name for f in dataclasses.fields(Recipe)] == ["schema", "verb", *SECTIONS]
    assert {key.partition(".")[0] for key in FIELDS} == set(SECTIONS)


def test_a_recipe_is_frozen_through_and_through():
    recipe = Recipe()
    with pytest.raises(dataclasses.FrozenInstanceError):
        recipe.verb = "train"
    for section in SECTIONS:
        part = getattr(recipe, section)
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(part, dataclasses.fields(part)[0].name, None)


def test_two_recipes_share_no_default():
    assert Recipe().model.options is not Recipe().model.options
