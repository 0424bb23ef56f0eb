"""zoo.report.words: sentences that say what the numbers say, and no more."""

import html
import re
from dataclasses import replace

import torch
from judged import HOSTILE, drawn, judged

from zoo.engine.evaluate import Evaluation
from zoo.engine.judging.judgement import Judgement
from zoo.report.words import cautions, in_short, percent, several, span, verdict


def plain(lines):
    return [html.unescape(re.sub("<[^>]+>", "", line)).replace("\u00a0", " ") for line in lines]


def certain(labels, predicted, k, weight=4.0):
    return weight * torch.nn.functional.one_hot(predicted, k).float(), labels


def test_what_to_take_away():
    labels = torch.tensor([0] * 10 + [1] * 10)
    predicted = torch.tensor([0] * 7 + [1] * 3 + [1] * 10)
    lines = plain(in_short(judged(["cat", "dog"], *certain(labels, predicted, 2))))
    assert lines[0].startswith(
        "85.0 % of 20 images are recognised. With 95 % confidence, it is 64.0"
    )
    assert lines[1] == "Least recognised is cat: 7 of its 10 images, 70.0 % (39.7 to 89.2 %)."
    assert lines[2] == "The most frequent mistake: cat taken for dog, 3 of 10 images."
    assert lines[3].startswith("It is 98.2 % sure on average, and right in 85.0 %: ")


def test_nothing_to_complain_of():
    labels = torch.arange(40) % 2
    lines = plain(in_short(judged(["cat", "dog"], *certain(labels, labels, 2))))
    assert len(lines) == 2
    assert "fit" in lines[1]


def test_too_sure_too_modest_and_fitting():
    outputs, labels = drawn(4000, 4)
    sure, modest = (judged("abcd", factor * outputs, labels) for factor in (5.0, 0.2))
    assert verdict(sure.calibration) == "it is too sure of itself"
    assert verdict(modest.calibration) == "it is more often right than it says"
    fitted = outputs / sure.calibration.temperature.value * 5
    assert "fit" in verdict(judged("abcd", fitted, labels).calibration)
    bad = replace(sure.calibration, confidence=sure.calibration.accuracy)
    assert "not at every level" in verdict(bad)


def test_cautions():
    outputs, labels = drawn(60, 4, void=2)
    found = judged([*HOSTILE, "empty"], outputs, labels.clamp(max=2), split="val")
    lines = plain(cautions(found))
    assert "also chose the epoch" in lines[0]
    assert lines[1] == "The outputs for 2 images are no numbers; they count as mistakes."
    assert lines[2].startswith("2 classes with fewer than 30 images")
    assert lines[3] == "Without images, so nothing is known of them: empty."
    assert "chance alone" in lines[-1]
    trained = plain(cautions(replace(found, split="train")))
    assert trained[0].startswith("The model was trained on these very images")
    assert "most of these" in plain(cautions(replace(found, split="all")))[0]
    assert "chose" not in " ".join(plain(cautions(replace(found, split=""))))
    assert "<script" not in "".join([*cautions(found), *in_short(found)])


def test_many_empty_classes_are_counted():
    outputs, labels = drawn(60, 30)
    found = judged([f"c{k}" for k in range(30)], outputs, labels.clamp(max=1))
    assert any(line.endswith("c13 and 16 more.") for line in plain(cautions(found)))


def test_without_class_targets_there_is_little_to_say():
    found = Judgement(data="x", evaluation=Evaluation(n=3, loss=0.5), classes=(), counts={})
    assert in_short(found) == []
    assert len(cautions(found)) == 1


def test_numbers_in_words():
    assert percent(0.12345) == "12.3\u00a0%"
    assert percent(None) == "none"
    assert span((0.0, 1.0)) == "0.0 to 100.0\u00a0%"
    assert [several(n, "class") for n in (1, 2)] == ["1 class", "2 classes"]
    assert several(1200, "image") == "1,200 images"
