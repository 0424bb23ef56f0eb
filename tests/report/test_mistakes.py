"""zoo.report.mistakes: the surest ones, with pictures."""

import re
from dataclasses import replace

import torch
from judged import HOSTILE, drawn, judged

from zoo.report.mistakes import gallery, most_confident


def test_the_surest_come_first_and_right_ones_never():
    outputs, labels = drawn(100, 4, skill=1.0, void=3)
    found = judged("abcd", outputs, labels).answers
    rows = most_confident(found)
    assert len(rows) == 24
    sure = found.confidence[rows].tolist()
    assert sure == sorted(sure, reverse=True)
    assert not found.right[rows].any()
    every = most_confident(found, 1000)
    assert len(every) == int((~found.right).sum()) - 3
    assert every[:24] == rows


def test_what_is_shown_of_each():
    outputs = torch.tensor([[0.0, 9.0, 1.0], [9.0, 0.0, 0.0], [0.0, 0.0, 5.0], [0.0, 4.0, 0.0]])
    found = judged("abc", outputs, torch.tensor([2, 0, 0, 0]), keys=["x/1.png", "2", "/r/y/3", "4"])
    text = gallery(found)
    entries = text.split("<li>")[1:]
    assert len(entries) == 3
    first, second, third = entries
    assert 'class="tiny"' in first
    assert "data:image/png;base64," in first
    said = [piece for piece in re.split("<[^>]+>", first) if piece]
    sure, true = "100.0\u00a0% sure", "true class: place 2, 0.0\u00a0%"
    assert said == ["c", " → ", "b", sure, true, "x", "/", "1.png"]
    assert ">y</bdi>/<bdi>3<" in second
    assert "/r/" not in second  # a path of this machine
    assert "no picture" in third


def test_hostile_names_are_text(tmp_path):
    keys = [f"<script>alert({n})</script>/\udcff\u202e{'x' * 300}.jpg" for n in range(30)]
    text = gallery(judged(HOSTILE, *drawn(30, 3, skill=0.0), keys=keys))
    assert "<script" not in text
    assert "\u202e" not in text
    text.encode()


def test_without_mistakes_or_images_there_is_nothing():
    labels = torch.arange(6) % 2
    found = judged("ab", torch.nn.functional.one_hot(labels, 2).float(), labels)
    assert gallery(found) == ""
    assert gallery(replace(found, images=None)) == ""
    assert gallery(replace(found, answers=None)) == ""
