import re

import msgspec
import pytest

from zoo.core.fields import fields_of
from zoo.core.recipe import Recipe

FIELDS = fields_of()


@pytest.mark.parametrize("key", FIELDS)
def test_every_field_is_described_in_one_sentence(key):
    text = FIELDS[key].help
    assert text.endswith((".", ")."))
    assert len(text) < 150
    assert text[0].isupper() or text[0] in "a" or re.match(r"[A-Z]+:", text)


@pytest.mark.parametrize("key", FIELDS)
def test_every_default_is_a_value_that_its_own_check_accepts(key):
    info = FIELDS[key]
    assert msgspec.convert(msgspec.to_builtins(info.default), info.type) == info.default


def test_a_key_leads_to_its_place_in_the_tree():
    recipe = Recipe()
    for key, info in FIELDS.items():
        section, _, name = key.partition(".")
        assert getattr(getattr(recipe, section), name) == info.default
