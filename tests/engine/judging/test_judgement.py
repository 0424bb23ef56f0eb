"""zoo.engine.judging.judgement: what is told of an evaluation, to people and to programs."""

import json

import torch
from outputs import recorded, some

from zoo.engine.evaluate import Evaluation
from zoo.engine.judging.calibration import calibrate
from zoo.engine.judging.classwise import score_classes
from zoo.engine.judging.judgement import PAIRS, Judgement


def judged(outputs, labels, names):
    answers = recorded(outputs, labels)
    confusion = answers.confusion()
    return Judgement(
        data="photos",
        evaluation=Evaluation(n=len(labels), loss=1.0, top1=0.5, top5=1.0, confusion=confusion),
        classes=tuple(names),
        counts={},
        scores=score_classes(names, confusion, answers.unanswered()),
        calibration=calibrate(answers),
    )


def test_numbers_for_programs():
    outputs, labels = some(40, 3)
    labels = labels.clamp(max=1)
    found = judged(outputs, labels, ["a", "b", "c"]).to_dict()
    json.dumps(found, allow_nan=False)
    assert list(found)[:5] == ["data", "n", "loss", "top1", "top5"]
    assert found["per_class"]["c"] == {"n": 0, "recall": None, "precision": None, "f1": None}
    assert found["per_class"]["a"]["n"] == int((labels == 0).sum())
    assert 0 < found["macro_f1"] < 1
    assert set(found["confused"][0]) == {"true", "predicted", "n", "share"}
    assert found["calibration"]["bins"] == 15
    assert "report" not in found


def test_pairs_are_bounded():
    labels = torch.arange(300).repeat(3)
    outputs = torch.nn.functional.one_hot((labels + torch.arange(900) // 300) % 300, 300).float()
    found = judged(outputs, labels, [f"c{k}" for k in range(300)])
    assert len(found.confused()) == PAIRS == len(found.to_dict()["confused"])
    assert len(found.confused(1000)) == 600
    assert len(found.to_dict()["per_class"]) == 300


def test_without_class_targets_there_is_a_loss():
    found = Judgement(
        data="x", evaluation=Evaluation(n=3, loss=0.5), classes=(), counts={}, notes=("why",)
    )
    assert found.to_dict() == {
        "data": "x", "n": 3, "loss": 0.5, "per_class": {}, "notes": ["why"],
    }  # fmt: skip
    assert found.macro_f1 is None
    assert found.confused() == ()
