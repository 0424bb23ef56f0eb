"""Each class by itself: precision, recall, F1 and what it is taken for, from counts alone.

K is the number of classes. What cannot be said is ``None``, never 0: the recall of a class without
images, the precision of one that nothing was taken for.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import Tensor


@dataclass(frozen=True, slots=True, kw_only=True)
class ClassScore:
    """How one class is recognised.

    Attributes:
        name: Its name.
        n: Its images that the model was shown.
        right: Those that were recognised.
        predicted: Images of any class that were taken for it.
    """

    name: str
    n: int
    right: int
    predicted: int

    @property
    def recall(self) -> float | None:
        """Share of its images that were recognised."""
        return self.right / self.n if self.n else None

    @property
    def precision(self) -> float | None:
        """Share of what was taken for it that is it."""
        return self.right / self.predicted if self.n and self.predicted else None

    @property
    def f1(self) -> float | None:
        """Harmonic mean of both, 0 if none was recognised."""
        return 2 * self.right / (self.n + self.predicted) if self.n else None


@dataclass(frozen=True, slots=True, kw_only=True)
class Confusion:
    """Images of one class that were taken for another.

    Attributes:
        true: What they are.
        predicted: What they were taken for.
        n: How many.
        share: Of all images of the class.
    """

    true: str
    predicted: str
    n: int
    share: float


def class_names(classes: Sequence[str], count: int) -> tuple[str, ...]:
    """A name for each output; those that nobody named go by their number.

    Args:
        classes: Names that are known.
        count: Outputs.
    """
    return tuple(classes[k] if k < len(classes) else str(k) for k in range(count))


def score_classes(
    classes: Sequence[str], confusion: Tensor, unanswered: Tensor | None = None
) -> tuple[ClassScore, ...]:
    """Count each class's images.

    Args:
        classes: Names of the classes.
        confusion: Counts ``(K, K)``, true class by row.
        unanswered: Images without a prediction by true class ``(K,)``.
    """
    n = confusion.sum(1) if unanswered is None else confusion.sum(1) + unanswered
    columns = (n, confusion.diagonal(), confusion.sum(0))
    names = class_names(classes, len(confusion))
    rows = zip(names, *(column.tolist() for column in columns), strict=True)
    return tuple(ClassScore(name=a, n=b, right=c, predicted=d) for a, b, c, d in rows)


def macro_f1(scores: Sequence[ClassScore]) -> float | None:
    """Mean F1 over the classes that occur, as images or as predictions: scikit-learn's.

    Args:
        scores: Of every class.

    Returns:
        The mean; ``None`` if no class occurs.
    """
    found = [2 * s.right / (s.n + s.predicted) for s in scores if s.n + s.predicted]
    return sum(found) / len(found) if found else None


def most_confused(
    scores: Sequence[ClassScore], confusion: Tensor, limit: int
) -> tuple[Confusion, ...]:
    """The pairs of classes that are mistaken most often.

    Args:
        scores: Of every class, in the order of the rows.
        confusion: Counts ``(K, K)``, true class by row.
        limit: Pairs to give, at most.

    Returns:
        The largest count first; of equal counts the larger share of its class.
    """
    cells = confusion.nonzero()
    cells = cells[cells[:, 0] != cells[:, 1]]
    counts = confusion[cells[:, 0], cells[:, 1]]
    n = torch.tensor([score.n for score in scores], dtype=torch.float64)
    shares = counts / n[cells[:, 0]]
    order = torch.argsort(counts.double() + shares / 2, descending=True, stable=True)[:limit]
    return tuple(
        Confusion(true=scores[t].name, predicted=scores[p].name, n=count, share=share)
        for (t, p), count, share in zip(
            cells[order].tolist(), counts[order].tolist(), shares[order].tolist(), strict=True
        )
    )
