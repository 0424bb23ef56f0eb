"""Depth and length of what is written in files, before anything is made of it."""

import pytest

from zoo.core import limits


@pytest.mark.parametrize("joint", [".", " . ", '."b".', ".'c'."])
def test_keys_of_many_parts_are_noticed_and_lists_of_numbers_are_not(joint):
    assert limits.endless_key(joint.join(["a"] * 40) + " = 1")
    assert not limits.endless_key(joint.join(["a"] * 8) + " = 1")
    assert not limits.endless_key("a = [" + ", ".join(["0.5"] * 500) + "]")
    assert not limits.endless_key("a" * 100_000)
    assert not limits.endless_key('"' * 100_001)


def test_tables_inside_one_another_are_counted():
    assert not limits.deeper_than({"a": [{"b": [1]}]})
    assert not limits.deeper_than(5)
    deep = []
    for _ in range(40):
        deep = [deep]
    assert limits.deeper_than(deep)
    assert limits.deeper_than({"a": {"b": deep}})
