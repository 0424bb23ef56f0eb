"""What is known of a model once it was shown labelled images."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from zoo.core.recipe import Recipe
from zoo.data.images import ImageSet
from zoo.engine.evaluate import Evaluation
from zoo.engine.judging.answers import Answers
from zoo.engine.judging.calibration import Calibration, calibrate
from zoo.engine.judging.classwise import (
    ClassScore,
    Confusion,
    macro_f1,
    most_confused,
    score_classes,
)
from zoo.engine.judging.robustness import Robustness

PAIRS = 100
"""Pairs of classes that :meth:`Judgement.to_dict` names, at most."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judgement:
    """What a model did on labelled images.

    Attributes:
        data: What the images are called.
        evaluation: The numbers; images whose outputs are no numbers are in no cell of its confusion.
        classes: Class names.
        counts: Images of each class.
        notes: What a person should know.
        scores: Every class by itself, in their order; empty without class targets.
        calibration: What the probabilities are worth; ``None`` if that cannot be said.
        place: Where and how precisely it was computed.
        split: Which of its own images these are (``val``, ``all``); empty for others.
        recipe: How they were shown.
        answers: What was said of each image, if asked for.
        images: The images, if asked for.
        report: The report that was written, if one was.
        robustness: What is left on spoilt images, if that was measured.
    """

    data: str
    evaluation: Evaluation
    classes: tuple[str, ...]
    counts: dict[str, int]
    notes: tuple[str, ...] = ()
    scores: tuple[ClassScore, ...] = ()
    calibration: Calibration | None = None
    place: str = ""
    split: str = ""
    recipe: Recipe = field(default_factory=Recipe)
    answers: Answers | None = None
    images: ImageSet | None = None
    report: Path | None = None
    robustness: Robustness | None = None

    @property
    def macro_f1(self) -> float | None:
        """Mean F1 over the classes that occur, as images or as predictions."""
        return macro_f1(self.scores)

    def confused(self, limit: int = PAIRS) -> tuple[Confusion, ...]:
        """The pairs of classes that are mistaken most often, at most ``limit``."""
        if self.evaluation.confusion is None:
            return ()
        return most_confused(self.scores, self.evaluation.confusion, limit)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        found: dict[str, Any] = {"data": self.data, **self.evaluation.to_dict()}
        if self.scores:
            found["macro_f1"] = self.macro_f1
        found["per_class"] = {
            s.name: {"n": s.n, "recall": s.recall, "precision": s.precision, "f1": s.f1}
            for s in self.scores
        }
        if self.scores:
            found["confused"] = [asdict(pair) for pair in self.confused()]
            found["calibration"] = self.calibration.to_dict() if self.calibration else None
        if self.robustness:
            found["robustness"] = self.robustness.to_dict()
        found["notes"] = list(self.notes)
        return found | ({"report": str(self.report)} if self.report else {})


def judgement(found: Evaluation, answers: Answers | None, **facts: Any) -> Judgement:
    """Put the numbers together; images without a prediction belong to their classes all the same.

    Args:
        found: What was counted.
        answers: What was said of each image; ``None`` where targets are no classes.
        **facts: The other fields.
    """
    if answers is None or found.confusion is None:
        return Judgement(evaluation=found, **facts)
    if answers.void.any():
        found = replace(found, confusion=answers.confusion())
    assert found.confusion is not None
    return Judgement(
        evaluation=found,
        scores=score_classes(facts["classes"], found.confusion, answers.unanswered()),
        calibration=calibrate(answers),
        answers=answers if facts["images"] is not None else None,
        **facts,
    )
