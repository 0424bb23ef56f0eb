"""zoo.core.convert: plain values to records, with msgspec as the oracle."""

from __future__ import annotations

import msgspec
import pytest

from zoo.core.convert import Mismatch, convert
from zoo.core.hookspecs import KINDS
from zoo.core.specs import InputSpec, ModelSpec, WeightsSpec

VALUES = [
    (["a", 1], tuple[str, int]),
    ([1, 2], tuple[float, ...]),
    (3, float),
    (3.0, float),
    ("x", str),
    (None, int | None),
    (7, int | None),
    ({"a": 1}, dict[str, float]),
    ({"size": [1, 28, 28], "mean": [0.5], "interpolation": "bicubic"}, InputSpec),
    ({"name": "m", "target": "a:b", "stages": [["s", ["x", "y"]]], "params": 5}, ModelSpec),
    ({"name": "w", "source": "url:x", "metrics": {"top1": 1}}, WeightsSpec),
]
WRONG = [
    ("x", int),
    (1.5, int),
    (True, int),
    (1, str),
    (["a"], tuple[str, int]),
    ("abc", tuple[str, ...]),
    ({"size": [3, 224]}, InputSpec),
    ({"interpolation": "cubic"}, InputSpec),
    ({"name": "m"}, ModelSpec),
    ([], InputSpec),
    ({"a": "x"}, dict[str, float]),
]


@pytest.mark.parametrize(("value", "wanted"), VALUES)
def test_gives_what_msgspec_gives(value, wanted):
    assert convert(value, wanted) == msgspec.convert(value, wanted)


@pytest.mark.parametrize(("value", "wanted"), WRONG)
def test_refuses_what_msgspec_refuses(value, wanted):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(value, wanted)
    with pytest.raises(Mismatch):
        convert(value, wanted)


def test_says_where_it_is_wrong():
    with pytest.raises(Mismatch, match=r"Expected `str`, got `int` - at `stages\[0\]\[1\]\[0\]`"):
        convert({"name": "m", "target": "a:b", "stages": [["s", [1]]]}, ModelSpec)


def test_names_a_missing_and_an_unknown_field():
    with pytest.raises(Mismatch, match="required field `target`"):
        convert({"name": "m"}, ModelSpec)
    with pytest.raises(Mismatch, match="unknown field `colour`"):
        convert({"colour": 1}, InputSpec)


def test_records_pass_as_they_are():
    made = InputSpec()
    spec = convert({"name": "m", "target": "a:b", "input": made}, ModelSpec)
    assert spec.input is made


def test_every_record_can_be_made():
    for _, spec, _ in KINDS.values():
        assert convert({"name": "n", "target": "a:b"}, spec).name == "n"
