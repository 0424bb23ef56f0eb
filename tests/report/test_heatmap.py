"""zoo.report.heatmap: a cell for each pair that occurs."""

from xml.etree.ElementTree import fromstring

import pytest
import torch
from judged import HOSTILE

from zoo.engine.judging.classwise import score_classes
from zoo.report.heatmap import LIMIT, heat_map


def drawn(names, confusion, **more):
    scores = score_classes(names, confusion, **more)
    return fromstring(heat_map(scores, confusion))


def cells(svg):
    return {group.find("title").text: group.find("rect") for group in svg.iter("g")}


def test_cells_are_shaded_by_their_share_of_the_row():
    svg = drawn(["a", "b"], torch.tensor([[3, 1], [0, 2]]), unanswered=torch.tensor([0, 2]))
    found = cells(svg)
    assert set(found) == {"a → a: 3 of 4", "a → b: 1 of 4", "b → b: 2 of 4"}
    shades = [float(found[key].get("fill-opacity")) for key in sorted(found)]
    assert shades == pytest.approx([0.08 + 0.92 * share for share in (0.75, 0.25, 0.5)], abs=0.01)
    places = [(float(r.get("x")), float(r.get("y"))) for r in found.values()]
    assert places[0][1] == places[1][1] < places[2][1]
    assert places[0][0] < places[1][0] == places[2][0]


def test_hostile_names_are_text():
    svg = drawn(HOSTILE, torch.eye(3, dtype=torch.int64))
    assert {node.tag for node in svg.iter()} <= {"svg", "g", "title", "text", "rect"}
    assert HOSTILE[0] in [node.text for node in svg.iter("title")]


def test_of_many_classes_there_is_no_map_unless_few_have_images():
    many = torch.eye(300, dtype=torch.int64)
    assert heat_map(score_classes([str(k) for k in range(300)], many), many) == ""
    few = torch.zeros(300, 300, dtype=torch.int64)
    few[7, 7], few[9, 7], few[9, 200], few[9, 201] = 4, 1, 2, 3
    svg = drawn([f"c{k}" for k in range(300)], few)
    assert set(cells(svg)) == {
        "c7 → c7: 4 of 4", "c9 → c7: 1 of 6", "c9 → (other classes): 5 of 6",
    }  # fmt: skip
    full = torch.eye(LIMIT, dtype=torch.int64)
    assert len(cells(drawn([str(k) for k in range(LIMIT)], full))) == LIMIT


def test_no_image_at_all():
    none = torch.zeros(50, 50, dtype=torch.int64)
    assert heat_map(score_classes([str(k) for k in range(50)], none), none) == ""
    assert cells(drawn(["a", "b"], torch.zeros(2, 2, dtype=torch.int64))) == {}
