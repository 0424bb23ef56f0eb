"""How far the numbers may be off, for no other reason than that these images were drawn.

Shares have Wilson's interval; what is no share has the percentiles of a bootstrap: the images are
drawn again with replacement, as many as there are, and the number is computed anew. The draws are
the same each time. N is the number of images, K of classes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import torch

from zoo.hub.card import interval

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.engine.judging.answers import Answers

Range = tuple[float, float]
SEED: Final = 0
DRAWS: Final = 1000
_WORK: Final = 100_000_000
_FEWEST: Final = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Resampled:
    """95 % intervals of what is no share.

    Attributes:
        draws: How often the images were drawn.
        macro_f1: Of the macro F1.
        loss: Of the mean of minus the log of the true class's probability; ``None`` if an image has
            none.
    """

    draws: int
    macro_f1: Range
    loss: Range | None


def wilson(hits: int, n: int) -> Range:
    """Wilson's 95 % interval of a share; everything without images.

    Args:
        hits: Images that count.
        n: All of them.
    """
    return interval(hits / n, n) if n else (0.0, 1.0)


def resample(answers: Answers) -> Resampled:
    """Draw the images again and again.

    Args:
        answers: Of at least one image, with losses.
    """
    n, k = len(answers.labels), answers.classes
    draws = max(_FEWEST, min(DRAWS, _WORK // n))
    predicted = answers.predicted.long().where(~answers.void, k)
    cells, place = torch.unique(answers.labels * (k + 1) + predicted, return_inverse=True)
    losses = answers.losses.double()
    generator = torch.Generator().manual_seed(SEED)
    f1, loss = [], []
    for _ in range(draws):
        drawn = torch.randint(n, (n,), generator=generator)
        counts = torch.bincount(place[drawn], minlength=len(cells)).double()
        f1.append(_macro_f1(cells, counts, k))
        loss.append(float(losses[drawn].mean()))
    return Resampled(
        draws=draws,
        macro_f1=_percentiles(f1),
        loss=_percentiles(loss) if bool(losses.isfinite().all()) else None,
    )


def _macro_f1(cells: Tensor, counts: Tensor, k: int) -> float:
    """As :func:`zoo.engine.judging.classwise.macro_f1`, of cells ``(M,)`` of a matrix ``(K, K + 1)``."""
    true, predicted = cells // (k + 1), cells % (k + 1)
    sums = torch.zeros(k + 1, dtype=torch.float64)
    both = sums.index_add(0, true, counts).index_add_(0, predicted, counts)[:k]
    right = sums.index_add(0, true, counts * (true == predicted))[:k]
    there = both > 0
    return float((2 * right[there] / both[there]).mean())


def _percentiles(values: list[float]) -> Range:
    found = torch.tensor(values, dtype=torch.float64)
    low, high = torch.quantile(found, torch.tensor([0.025, 0.975], dtype=torch.float64)).tolist()
    return low, high
