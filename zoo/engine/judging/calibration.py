"""Whether a model's probabilities are worth their name: calibration error and temperature.

The expected calibration error is that of Guo et al. (2017): images are put into 15 bins of equal
width by the probability of the predicted class; the error is the mean over images of the distance
between a bin's mean probability and its share of right answers. N images, M of them with their
outputs, K classes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import torch

if TYPE_CHECKING:
    from collections.abc import Iterator

    from torch import Tensor

    from zoo.engine.judging.answers import Answers

BINS: Final = 15
_LEAST, _MOST = 0.01, 100.0
_SEED, _DRAWS = 0, 1000
_FLOOR: Final = -1e30
"""In place of minus infinity, which a class that is ruled out may have."""
_CHUNK: Final = 2_000_000
"""Numbers that are computed with at a time, in double precision."""


@dataclass(frozen=True, slots=True)
class Bin:
    """Images whose probability lies in one range.

    Attributes:
        low: Where the range begins, not included.
        high: Where it ends, included.
        n: Images.
        confidence: Their mean probability; nan without images.
        accuracy: Share of them that were right; nan without images.
    """

    low: float
    high: float
    n: int
    confidence: float
    accuracy: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Temperature:
    """The number that outputs are best divided by before they become probabilities.

    Attributes:
        value: It; ``None`` if no number between 0.01 and 100 is the best.
        n: Images that it was fitted on, and that all numbers here are of.
        nll: Mean negative log-likelihood before.
        nll_after: The same with the temperature.
        ece: Expected calibration error before.
        ece_after: The same with the temperature; ``None`` without one.
    """

    value: float | None
    n: int
    nll: float
    nll_after: float | None
    ece: float
    ece_after: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """How probabilities and right answers go together.

    Attributes:
        n: Images that have a probability.
        ece: Expected calibration error.
        chance: The error that a model with true probabilities would have on as many images, by
            chance alone; the mean of 1,000 draws with a fixed seed.
        confidence: Mean probability of the predicted classes.
        accuracy: Share of right answers.
        bins: The 15 ranges, the lowest first.
        temperature: ``None`` if no outputs were kept to fit one.
    """

    n: int
    ece: float
    chance: float
    confidence: float
    accuracy: float
    bins: tuple[Bin, ...]
    temperature: Temperature | None = None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        found: dict[str, Any] = {"n": self.n, "bins": len(self.bins), "ece": self.ece}
        found |= {"ece_by_chance": self.chance, "confidence": self.confidence}
        if self.temperature is not None:
            fitted = self.temperature
            found |= {
                "temperature": fitted.value,
                "temperature_n": fitted.n,
                "ece_after": fitted.ece_after,
            }
        return found


def calibrate(answers: Answers) -> Calibration | None:
    """Measure a model's probabilities, and fit a temperature where outputs were kept.

    Returns:
        ``None`` where nothing can be said: one class, or no image with a probability.
    """
    there = answers.confidence.isfinite()
    if answers.classes < 2 or not there.any():
        return None
    confidence, right = answers.confidence[there], answers.right[there]
    bins = reliability(confidence, right)
    usable = answers.logits.amax(1).isfinite() if len(answers.logits) else torch.empty(0).bool()
    logits, labels = answers.logits[usable], answers.logit_labels[usable]
    return Calibration(
        n=len(confidence),
        ece=error_of(bins),
        chance=_by_chance(bins),
        confidence=float(confidence.double().mean()),
        accuracy=float(right.double().mean()),
        bins=bins,
        temperature=fit_temperature(logits, labels) if len(logits) else None,
    )


def reliability(confidence: Tensor, right: Tensor) -> tuple[Bin, ...]:
    """Put images into bins.

    Args:
        confidence: Probabilities of the predicted classes ``(N,)``.
        right: Whether they are the true ones, bool ``(N,)``.
    """
    edges = torch.linspace(0, 1, BINS + 1, dtype=torch.float64)
    place = torch.bucketize(confidence.double(), edges[1:-1])
    n, summed, hits = (
        torch.bincount(place, weights, minlength=BINS).double()
        for weights in (None, confidence.double(), right.double())
    )
    columns = (edges[:-1], edges[1:], n, summed / n, hits / n)
    rows = zip(*(column.tolist() for column in columns), strict=True)
    return tuple(Bin(low, high, int(count), mean, share) for low, high, count, mean, share in rows)


def error_of(bins: tuple[Bin, ...]) -> float:
    """The expected calibration error of bins; 0 without images."""
    total = sum(one.n for one in bins)
    gaps = (one.n * abs(one.confidence - one.accuracy) for one in bins if one.n)
    return sum(gaps) / max(1, total)


def _by_chance(bins: tuple[Bin, ...]) -> float:
    full = [one for one in bins if one.n]
    n = torch.tensor([one.n for one in full], dtype=torch.float64)
    mean = torch.tensor([one.confidence for one in full], dtype=torch.float64).clamp(0, 1)
    drawn = torch.binomial(
        n.expand(_DRAWS, -1).contiguous(),
        mean.expand(_DRAWS, -1).contiguous(),
        generator=torch.Generator().manual_seed(_SEED),
    )
    return float((drawn - n * mean).abs().sum(1).mean() / n.sum())


def fit_temperature(logits: Tensor, labels: Tensor) -> Temperature:
    """Find the temperature that makes the true classes most likely.

    The likelihood has one maximum in 1/T, where the outputs of the true classes are on average
    what the probabilities expect them to be. It is found by Newton's steps between two bounds.

    Args:
        logits: Outputs ``(M, K)``, the largest of each finite.
        labels: True classes ``(M,)``.
    """
    low, high = 1 / _MOST, 1 / _LEAST
    best: float | None = None
    if _moments(logits, labels, low)[0] < 0 < _moments(logits, labels, high)[0]:
        best = 1.0
        for _ in range(60):
            slope, curve = _moments(logits, labels, best)
            low, high = (best, high) if slope < 0 else (low, best)
            step = best - slope / curve if curve > 0 else low
            following = step if low < step < high else math.sqrt(low * high)
            done = abs(following - best) <= 1e-9 * best
            best = following
            if done:
                break
    nll, ece = _quality(logits, labels, 1.0)
    after, ece_after = (None, None) if best is None else _quality(logits, labels, best)
    return Temperature(
        value=None if best is None else 1 / best,
        n=len(labels),
        nll=nll,
        nll_after=after,
        ece=ece,
        ece_after=ece_after,
    )


def _moments(logits: Tensor, labels: Tensor, beta: float) -> tuple[float, float]:
    """First and second derivative of the mean negative log-likelihood by ``beta`` = 1/T."""
    slope = curve = 0.0
    for rows, own in _chunks(logits, labels):
        shares = (rows * beta).softmax(1)
        mean = (shares * rows).sum(1, keepdim=True)
        slope += float((mean - rows.gather(1, own)).sum())
        curve += float((shares * (rows - mean).square()).sum())
    return slope / len(labels), curve / len(labels)


def _quality(logits: Tensor, labels: Tensor, beta: float) -> tuple[float, float]:
    """Negative log-likelihood and calibration error at a temperature."""
    lost, confidence, right = 0.0, [], []
    for rows, own in _chunks(logits, labels):
        shares = (rows * beta).log_softmax(1)
        lost -= float(shares.gather(1, own).sum())
        predicted = rows.argmax(1, keepdim=True)
        confidence.append(shares.gather(1, predicted)[:, 0].exp())
        right.append((predicted == own)[:, 0])
    return lost / len(labels), error_of(reliability(torch.cat(confidence), torch.cat(right)))


def _chunks(logits: Tensor, labels: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
    """Some rows at a time: outputs in double precision, the largest of each moved to 0."""
    size = max(1, _CHUNK // logits.shape[1])
    for start in range(0, len(logits), size):
        rows = logits[start : start + size].double().clamp(min=_FLOOR)
        yield rows - rows.amax(1, keepdim=True), labels[start : start + size, None]
