from __future__ import annotations

import dataclasses

from prefixcase import CPU, Case, numbers

from zoo.engine.prefix.entries import name_of


def test_a_name_follows_from_what_an_entry_is_about_in_any_order():
    name = name_of({"a": 1, "b": "x"})
    assert len(name) == 32
    assert name == name_of({"b": "x", "a": 1})
    assert name != name_of({"a": 1, "b": "y"})


def test_the_order_in_memory_that_the_frozen_part_computed_in_is_part_of_the_name(tmp_path):
    for channels_last in (False, True):
        place = dataclasses.replace(CPU, channels_last=channels_last)
        numbers(Case(tmp_path, mode="disk", views=1, freeze="backbone", place=place))
    assert len(list((tmp_path / "prefix").iterdir())) == 4  # vectors: it shows in no shape
