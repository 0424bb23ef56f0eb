"""Metrics by name: sums over batches, from which the value is worked out at the end.

Every metric is a vector of sums (``counts``) that batches add to: it does not wait for the device
in a batch, does not depend on how the data was cut into batches, and may be added up over
processes. Shares lie in 0..1. N batch, K classes, B bins.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, final

import torch
from torch import Tensor
from torch.nn import functional

from zoo.plugin import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping


class _Counted(ABC):
    """A metric that is a function of sums over images.

    Attributes:
        counts: What was summed so far; ``None`` before the first batch.
    """

    def __init__(self, classes: int | None) -> None:
        self.classes = classes
        self.counts: Tensor | None = None

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Take one batch: outputs ``(N, K)``, labels ``(N,)`` or soft targets ``(N, K)``."""
        with torch.no_grad():
            fresh = self.count(outputs.detach(), targets)
            self.counts = fresh if self.counts is None else self.counts.to(fresh.device) + fresh

    def reset(self) -> None:
        """Forget everything seen."""
        self.counts = None

    def compute(self) -> float | Mapping[str, float]:
        """Give the value over everything seen since the last reset; NaN if that was nothing."""
        if self.counts is None:
            return float("nan")
        return self.value(self.counts.cpu().double())

    @abstractmethod
    def count(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Map a batch ``(N, K)``, ``(N,)`` to sums."""

    @abstractmethod
    def value(self, counts: Tensor) -> float | Mapping[str, float]:
        """Map sums, shaped as :meth:`count` gives them, to the value."""


def _labels(targets: Tensor) -> Tensor:
    return targets.argmax(dim=1) if targets.ndim == 2 else targets.long()


def _wide(outputs: Tensor) -> Tensor:
    """Outputs ``(N, K)`` as float64, or float32 where the device has no float64."""
    return outputs.float() if outputs.device.type == "mps" else outputs.double()


def _share(part: Tensor, whole: Tensor) -> Tensor:
    """``part / whole``, and 0 where there is nothing to divide by."""
    return torch.where(whole > 0, part / whole.clamp_min(1), torch.zeros_like(part))


@final
class TopK(_Counted):
    """Share of images whose class is among the ``k`` highest outputs.

    Args:
        classes: Not needed; every metric takes it.
        k: How many guesses count; at most all classes.
    """

    def __init__(self, classes: int | None = None, *, k: int = 1) -> None:
        super().__init__(classes)
        if k < 1:
            raise UsageError(f"k of top-k is at least 1, not {k}")
        self.k = k

    def count(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Map a batch ``(N, K)``, ``(N,)`` to (hits, images)."""
        guesses = outputs.topk(min(self.k, outputs.shape[1]), dim=1).indices
        hits = (guesses == _labels(targets).unsqueeze(1)).any(dim=1).sum()
        return torch.stack([hits, hits.new_tensor(len(outputs))])

    def value(self, counts: Tensor) -> float:
        """Map sums ``(2,)``, hits and images, to the share."""
        return float(counts[0] / counts[1])


class _Confusion(_Counted):
    """A metric of the confusion matrix ``(K, K)``: rows are true classes, columns predictions."""

    def count(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Map a batch ``(N, K)``, ``(N,)`` to the confusion matrix ``(K, K)``."""
        size = outputs.shape[1]
        cells = _labels(targets) * size + outputs.argmax(dim=1)
        return torch.bincount(cells, minlength=size * size).reshape(size, size)


class _Averaged(_Confusion):
    def __init__(self, classes: int | None = None, *, average: str = "macro") -> None:
        super().__init__(classes)
        if average not in ("macro", "weighted", "micro"):
            raise UsageError(f"average is macro, weighted or micro, not {average!r}")
        self.average = average

    def value(self, counts: Tensor) -> float:
        """Map the confusion matrix ``(K, K)`` to the mean over the classes that occur anywhere."""
        right, true, guessed = counts.diagonal(), counts.sum(dim=1), counts.sum(dim=0)
        if self.average == "micro":
            return float(self.score(right.sum(), true.sum(), guessed.sum()))
        scores = self.score(right, true, guessed)
        shares = true if self.average == "weighted" else ((true + guessed) > 0).to(scores.dtype)
        return float((scores * shares).sum() / shares.sum())

    @abstractmethod
    def score(self, right: Tensor, true: Tensor, guessed: Tensor) -> Tensor:
        """Map numbers of images by class ``(K,)`` to scores ``(K,)``."""


@final
class Precision(_Averaged):
    """Of what was called a class, the share that is it.

    Args:
        classes: Not needed; every metric takes it.
        average: ``macro`` (classes count alike), ``weighted`` (by images) or ``micro``.
    """

    def score(self, right: Tensor, true: Tensor, guessed: Tensor) -> Tensor:
        """Map numbers of images by class ``(K,)`` to scores ``(K,)``."""
        del true
        return _share(right, guessed)


@final
class Recall(_Averaged):
    """Of a class, the share that was found.

    Args:
        classes: Not needed; every metric takes it.
        average: ``macro`` (classes count alike), ``weighted`` (by images) or ``micro``.
    """

    def score(self, right: Tensor, true: Tensor, guessed: Tensor) -> Tensor:
        """Map numbers of images by class ``(K,)`` to scores ``(K,)``."""
        del guessed
        return _share(right, true)


@final
class F1(_Averaged):
    """Harmonic mean of precision and recall.

    Args:
        classes: Not needed; every metric takes it.
        average: ``macro`` (classes count alike), ``weighted`` (by images) or ``micro``.
    """

    def score(self, right: Tensor, true: Tensor, guessed: Tensor) -> Tensor:
        """Map numbers of images by class ``(K,)`` to scores ``(K,)``."""
        return _share(2 * right, true + guessed)


@final
class Jaccard(_Averaged):
    """Right answers over everything that is or was called the class.

    Args:
        classes: Not needed; every metric takes it.
        average: ``macro`` (classes count alike), ``weighted`` (by images) or ``micro``.
    """

    def score(self, right: Tensor, true: Tensor, guessed: Tensor) -> Tensor:
        """Map numbers of images by class ``(K,)`` to scores ``(K,)``."""
        return _share(right, true + guessed - right)


@final
class BalancedAccuracy(_Confusion):
    """Mean over the classes that occur of the share of their images that was found."""

    def __init__(self, classes: int | None = None) -> None:
        super().__init__(classes)

    def value(self, counts: Tensor) -> float:
        """Map the confusion matrix ``(K, K)`` to the mean recall."""
        true = counts.sum(dim=1)
        return float(_share(counts.diagonal(), true).sum() / (true > 0).sum())


@final
class WorstClass(_Confusion):
    """Share of images found of the class that does worst."""

    def __init__(self, classes: int | None = None) -> None:
        super().__init__(classes)

    def value(self, counts: Tensor) -> float:
        """Map the confusion matrix ``(K, K)`` to the lowest recall of a class that occurs."""
        true = counts.sum(dim=1)
        recall = _share(counts.diagonal(), true)
        return float(recall[true > 0].min())


@final
class CohenKappa(_Confusion):
    """Agreement beyond chance: 0 is guessing by frequency, 1 is all right.

    Args:
        classes: Not needed; every metric takes it.
        weights: ``none``, or ``linear`` or ``quadratic`` for ordered classes (grades).
    """

    def __init__(self, classes: int | None = None, *, weights: str = "none") -> None:
        super().__init__(classes)
        if weights not in ("none", "linear", "quadratic"):
            raise UsageError(f"weights is none, linear or quadratic, not {weights!r}")
        self.weights = weights

    def value(self, counts: Tensor) -> float:
        """Map the confusion matrix ``(K, K)`` to kappa; 0 where chance alone decides."""
        place = torch.arange(len(counts), dtype=counts.dtype, device=counts.device)
        gap = (place.unsqueeze(0) - place.unsqueeze(1)).abs()
        cost = {"none": (gap > 0).to(counts.dtype), "linear": gap, "quadratic": gap**2}
        chance = counts.sum(dim=1, keepdim=True) * counts.sum(dim=0, keepdim=True) / counts.sum()
        expected = float((cost[self.weights] * chance).sum())
        return 1.0 - float((cost[self.weights] * counts).sum()) / expected if expected else 0.0


@final
class Matthews(_Confusion):
    """Correlation of labels and predictions, -1 to 1; fair to rare classes."""

    def __init__(self, classes: int | None = None) -> None:
        super().__init__(classes)

    def value(self, counts: Tensor) -> float:
        """Map the confusion matrix ``(K, K)`` to the correlation; 0 if one side never varies."""
        true, guessed, images = counts.sum(dim=1), counts.sum(dim=0), counts.sum()
        shared = counts.diagonal().sum() * images - true @ guessed
        spread = (images**2 - true @ true) * (images**2 - guessed @ guessed)
        return float(shared / spread.sqrt()) if spread > 0 else 0.0


@final
class PerClass(_Confusion):
    """Share found of each class that occurs, by class."""

    class_keys = True

    def __init__(self, classes: int | None = None) -> None:
        super().__init__(classes)

    def value(self, counts: Tensor) -> Mapping[str, float]:
        """Map the confusion matrix ``(K, K)`` to recall by class."""
        true = counts.sum(dim=1)
        recall = _share(counts.diagonal(), true).tolist()
        return {str(k): recall[k] for k in range(len(recall)) if true[k] > 0}


@final
class Confusion(_Confusion):
    """Numbers of images by ``true>predicted``, zeros left out."""

    class_keys = True

    def __init__(self, classes: int | None = None) -> None:
        super().__init__(classes)

    def value(self, counts: Tensor) -> Mapping[str, float]:
        """Map the confusion matrix ``(K, K)`` to its cells."""
        cells = counts.nonzero().tolist()
        return {f"{true}>{guess}": float(counts[true, guess]) for true, guess in cells}


@final
class LogLoss(_Counted):
    """Mean of ``-log p`` of the true class."""

    def __init__(self, classes: int | None = None) -> None:
        super().__init__(classes)

    def count(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Map a batch ``(N, K)``, ``(N,)`` to (sum of losses, images)."""
        loss = functional.cross_entropy(_wide(outputs), _labels(targets), reduction="sum")
        return torch.stack([loss, loss.new_tensor(len(outputs))])

    def value(self, counts: Tensor) -> float:
        """Map sums ``(2,)``, losses and images, to the mean."""
        return float(counts[0] / counts[1])


@final
class Brier(_Counted):
    """Mean squared distance of the probabilities from the one-hot label, 0 to 2."""

    def __init__(self, classes: int | None = None) -> None:
        super().__init__(classes)

    def count(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Map a batch ``(N, K)``, ``(N,)`` to (sum of distances, images)."""
        chances = _wide(outputs).softmax(dim=1)
        rows = functional.one_hot(_labels(targets), outputs.shape[1])
        gaps = (chances - rows).square().sum()
        return torch.stack([gaps, gaps.new_tensor(len(outputs))])

    def value(self, counts: Tensor) -> float:
        """Map sums ``(2,)``, distances and images, to the mean."""
        return float(counts[0] / counts[1])


@final
class CalibrationError(_Counted):
    """Expected calibration error: how far confidence and accuracy lie apart, over equal bins.

    Args:
        classes: Not needed; every metric takes it.
        bins: Number of equal bins of confidence.
    """

    def __init__(self, classes: int | None = None, *, bins: int = 15) -> None:
        super().__init__(classes)
        if bins < 1:
            raise UsageError(f"bins of the calibration error is at least 1, not {bins}")
        self.bins = bins

    def count(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Map a batch ``(N, K)``, ``(N,)`` to (images, confidence, hits) by bin ``(3, B)``."""
        sure, guess = _wide(outputs).softmax(dim=1).max(dim=1)
        place = ((sure * self.bins).ceil().long() - 1).clamp(0, self.bins - 1)
        rows = functional.one_hot(place, self.bins).to(sure.dtype)
        hits = (guess == _labels(targets)).to(sure.dtype)
        return torch.stack([rows.sum(dim=0), sure @ rows, hits @ rows])

    def value(self, counts: Tensor) -> float:
        """Map sums by bin ``(3, B)`` to the error."""
        images, sure, hits = counts
        return float((sure - hits).abs().sum() / images.sum())
