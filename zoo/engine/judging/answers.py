"""What a model said about each image, in little, so that it can be judged closely afterwards.

An image leaves some numbers here, not its K outputs: 12 bytes where only a calibration is wanted,
24 where single images will be shown. All outputs are kept of a bounded number of images only,
evenly spread over the set. N is the number of images, K of classes, M of images of the sample.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, final

import torch
from torch import Tensor

from zoo.engine.evaluate import has_classes, ranks

if TYPE_CHECKING:
    from collections.abc import Sequence

SAMPLE: Final = 20_000
"""Images whose outputs are kept, at most."""
NUMBERS: Final = 8_000_000
"""Outputs that are kept, at most: 32 MB, which of 1,000 classes are those of 8,000 images."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answers:
    """One line an image, in host memory.

    Attributes:
        classes: K.
        labels: True classes ``(N,)`` int32.
        predicted: Classes with the largest output ``(N,)`` int32; -1 where one is not a number.
        confidence: Probabilities of the predicted classes ``(N,)``; nan where there is none.
        indices: Which images of the set these are ``(N,)`` int32; empty unless asked for.
        losses: Minus the log of the true classes' probabilities ``(N,)``; likewise.
        ranks: Places of the true classes among the outputs, 0 = the largest, ``(N,)``; likewise.
        logits: Outputs of the sample ``(M, K)``; likewise.
        logit_labels: Its true classes ``(M,)``.
    """

    classes: int
    labels: Tensor
    predicted: Tensor
    confidence: Tensor
    indices: Tensor
    losses: Tensor
    ranks: Tensor
    logits: Tensor
    logit_labels: Tensor

    @property
    def right(self) -> Tensor:
        """Which images were recognised, bool ``(N,)``."""
        return self.labels == self.predicted

    @property
    def void(self) -> Tensor:
        """Which images have no prediction, bool ``(N,)``: an output is not a number."""
        return self.predicted < 0

    def confusion(self) -> Tensor:
        """Counts ``(K, K)`` int64, true class by row; images without a prediction are left out."""
        k, there = self.classes, ~self.void
        cells = self.labels[there].long() * k + self.predicted[there].long()
        return torch.bincount(cells, minlength=k * k).view(k, k)

    def unanswered(self) -> Tensor:
        """Images without a prediction by true class ``(K,)`` int64."""
        return torch.bincount(self.labels[self.void].long(), minlength=self.classes)


@final
class Recorder:
    """Takes the outputs of an evaluation batch by batch, and waits for no device meanwhile.

    Args:
        count: Images of the set.
        closely: Whether single images and a sample of the outputs will be wanted.
    """

    def __init__(self, count: int, *, closely: bool = False) -> None:
        self._count, self._closely = count, closely
        self._columns: list[tuple[Tensor, ...]] = []
        self._sample: list[tuple[Tensor, Tensor]] = []
        self._classes = 0

    def add(self, outputs: Tensor, targets: Tensor, batch: Any) -> None:
        """Take one batch: outputs ``(N, K)``, targets ``(N,)``, and its ``indices`` ``(N,)``."""
        if not has_classes(outputs, targets):
            return
        self._classes = outputs.shape[1]
        largest, predicted = outputs.max(1)
        shares = outputs.log_softmax(1)
        confidence = shares.gather(1, predicted[:, None])[:, 0].exp()
        predicted = predicted.masked_fill(largest.isnan(), -1).int()
        row: tuple[Tensor, ...] = (targets.int(), predicted, confidence)
        if self._closely:
            own = targets[:, None]
            losses = -shares.gather(1, own)[:, 0]
            row += (batch.indices.int(), losses, ranks(outputs, targets).int())
            self._keep(outputs, targets, batch.indices)
        self._columns.append(row)

    def _keep(self, outputs: Tensor, targets: Tensor, indices: Tensor) -> None:
        most = min(SAMPLE, max(1, NUMBERS // outputs.shape[1]))
        if self._count > most:
            chosen = (indices.to(outputs.device) * most) % self._count < most
            outputs, targets = outputs[chosen], targets[chosen]
        self._sample.append((outputs.cpu(), targets.cpu()))

    def answers(self) -> Answers | None:
        """Everything taken so far; ``None`` without images, or without class targets."""
        if not self._columns:
            return None
        columns = [_joined(column) for column in zip(*self._columns, strict=True)]
        none = torch.empty(0)
        labels, predicted, confidence, indices, losses, ranks = (
            columns if self._closely else [*columns, none.int(), none, none.int()]
        )
        kept = [_joined(part) for part in zip(*self._sample, strict=True)]
        logits, logit_labels = kept or [none.view(0, self._classes), none.long()]
        return Answers(
            classes=self._classes,
            labels=labels,
            predicted=predicted,
            confidence=confidence,
            indices=indices,
            losses=losses,
            ranks=ranks,
            logits=logits,
            logit_labels=logit_labels,
        )


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(parts)).cpu()
