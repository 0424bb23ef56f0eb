from __future__ import annotations

from zoo.engine.prefix.entries import name_of


def test_a_name_follows_from_what_an_entry_is_about_in_any_order():
    name = name_of({"a": 1, "b": "x"})
    assert len(name) == 32
    assert name == name_of({"b": "x", "a": 1})
    assert name != name_of({"a": 1, "b": "y"})
