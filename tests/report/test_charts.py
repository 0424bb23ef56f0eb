"""zoo.report.charts: curves that are where their values are."""

import re
from xml.etree.ElementTree import fromstring

import pytest

from zoo.report.charts import HEIGHT, WIDTH, Curve, curves, ticks

NAN = float("nan")


def drawn(*values, **more):
    lines = [Curve(f"line {n}", list(v), "mark") for n, v in enumerate(values)]
    return fromstring(curves("a < b", lines, **more))


def points(svg):
    (path,) = svg.iter("path")
    return [tuple(map(float, p.split())) for p in re.split("[ML]", path.get("d")) if p]


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0, 1, [0, 0.2, 0.4, 0.6, 0.8, 1.0]), (0.13, 0.19, [0.14, 0.16, 0.18]), (5, 5, [5]),
        (-3, 30, [0, 10, 20, 30]), (1, 3, [1, 1.5, 2, 2.5, 3]), (0, float("inf"), [0]),
    ],
)  # fmt: skip
def test_ticks_are_round_and_inside(low, high, expected):
    found = ticks(low, high)
    assert all(low - 1e-9 <= tick <= high + 1e-9 for tick in found)
    assert len(found) <= 7
    if expected != [0.14, 0.16, 0.18]:
        assert found == pytest.approx(expected)


def test_larger_values_are_higher_and_later_ones_further_right():
    svg = drawn([3.0, 2.0, 2.5, 1.0])
    found = points(svg)
    assert len(found) == 4
    assert [x for x, _ in found] == sorted(x for x, _ in found)
    ups = [y for _, y in found]
    assert ups[0] < ups[2] < ups[1] < ups[3]  # y counts downwards
    assert all(0 < x < WIDTH and 0 < y < HEIGHT for x, y in found)
    assert svg.get("aria-label") == "a < b"


def test_the_best_epoch_is_marked():
    svg = drawn([3.0, 2.0, 1.0], best=2)
    text = ["".join(node.itertext()) for node in svg.iter("text")]
    assert "best: epoch 2" in text
    (dot,) = svg.iter("circle")
    assert (float(dot.get("cx")), float(dot.get("cy"))) == pytest.approx(points(svg)[1], abs=0.1)
    assert "best" not in "".join(drawn([1.0], best=7).itertext())


def test_gaps_single_epochs_and_nothing():
    svg = drawn([1.0, None, 2.0, 3.0])
    assert len(points(svg)) == 2
    assert len(list(svg.iter("circle"))) == 1
    assert len(list(drawn([0.5]).iter("circle"))) == 1
    assert len(points(drawn([0.5, 0.5]))) == 2
    assert curves("x", [Curve("a", [None, None], "mark")]) == ""
    assert curves("x", []) == ""
