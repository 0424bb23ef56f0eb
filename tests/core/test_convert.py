"""zoo.core.convert: plain values to records, with msgspec as the oracle."""

from __future__ import annotations

import msgspec
import pytest

from zoo.core.convert import Mismatch, checked, convert, record
from zoo.core.hookspecs import KINDS
from zoo.core.specs import InputSpec, ModelSpec, Stages, WeightsSpec

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


@pytest.mark.parametrize(
    "value",
    [
        [],
        [["a", ["x", "y"]], ["b", []]],
        [("a", ("x",))],
        (("a", ["x"]),),
        [["a", ["x"]], ["b", "y"]],
        [["a", ["x"]], ["b"]],
        [["a", ["x"]], "bc"],
        [["a", ["x", 3]]],
        [[1, ["x"]]],
        [None],
        "ab",
        {"a": ["x"]},
        7,
    ],
)
def test_stages_are_counted_at_once_and_mean_the_same(value):
    try:
        expected = msgspec.convert(value, Stages)
    except msgspec.ValidationError:
        with pytest.raises(Mismatch):
            convert(value, Stages)
    else:
        assert convert(value, Stages) == expected


def test_a_field_that_is_ready_is_taken_as_it_is():
    made = record({"name": "m", "target": "a:b", "stages": "shared"}, ModelSpec, {"stages": ()})
    assert made == ModelSpec(name="m", target="a:b")
    with pytest.raises(Mismatch, match="stages"):
        record({"name": "m", "target": "a:b", "stages": "shared"}, ModelSpec, {})


def test_a_table_of_a_record_is_a_copy():
    given = {"a": 1}
    assert convert(given, dict[str, int]) == given
    assert convert(given, dict[str, int]) is not given


def test_a_record_that_code_made_is_converted_as_a_table_is():
    made = checked(ModelSpec(name="m", target="a:b", neck=["x"], input=InputSpec()), ModelSpec)
    assert made == ModelSpec(name="m", target="a:b", neck=("x",), input=InputSpec())
    wrong = ModelSpec(name="m", target="a:b", input=InputSpec(size=(3, 4, "5")))
    with pytest.raises(Mismatch, match=r"Expected `int`, got `str` - at `input.size\[2\]`"):
        checked(wrong, ModelSpec)
