"""Loss, accuracy and confusion over a data set, counted exactly, also in uneven shards.

Everything is a sum over images in fp64 or int64, added up over the ranks at the very end; a mean
of means is never taken (:mod:`zoo.engine.averaging` has the losses that do not divide by images).
K is the number of classes, N a batch's number of images.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from zoo.engine.averaging import Averaging
from zoo.engine.place import autocast
from zoo.engine.processes.distributed import ALONE
from zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from torch import nn

    from zoo.core.protocols import Loss, Metric
    from zoo.engine.place import Place
    from zoo.engine.processes.distributed import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Evaluation:
    """What a model does on a data set.

    Attributes:
        n: Images seen, over all ranks.
        loss: Mean loss per image, or what the loss's own mean over all of them is.
        top1: Share of images whose class has the largest output; ``None`` without class targets.
        top5: Share whose class is among the five largest (1.0 up to five classes).
        confusion: Counts ``(K, K)`` int64, true class by row, predicted by column.
        metrics: Values of further metrics by name.
    """

    n: int
    loss: float
    top1: float | None = None
    top5: float | None = None
    confusion: Tensor | None = None
    metrics: Mapping[str, float] = field(default_factory=dict)

    @property
    def per_class(self) -> list[float]:
        """Share of each class's images that were recognised (recall); nan without images."""
        if self.confusion is None:
            return []
        counts = self.confusion.double()
        return [float(value) for value in counts.diagonal() / counts.sum(1)]

    def to_dict(self) -> dict[str, float]:
        """The numbers by name, for files and tables."""
        found: dict[str, float] = {"n": self.n, "loss": self.loss}
        if self.top1 is not None and self.top5 is not None:
            found |= {"top1": self.top1, "top5": self.top5}
        return found | dict(self.metrics)


class Stopped(Exception):  # noqa: N818 - not an error
    """An evaluation was given up because somebody asked the run to stop."""


def infer(
    model: nn.Module, batches: Iterable[Any], *, feed: Callable[..., Any], place: Place
) -> Iterator[tuple[Tensor, Tensor, Any]]:
    """Run a model over batches, in eval mode and without gradients.

    Args:
        model: Gives ``(N, K)``, or a tuple or dict whose first entry is that.
        batches: Of ``images`` and ``labels``.
        feed: A :class:`zoo.engine.feed.Feed`, or alike.
        place: Where and how precisely.

    Yields:
        Outputs fp32 ``(N, K)`` and targets, both on the device, and the batch.
    """
    was = model.training
    model.train()  # some keep what they worked out of their weights in eval mode until train() comes
    model.eval()
    try:
        for batch in batches:
            if not len(batch.labels):
                continue  # every image of it was unreadable and left out
            with torch.no_grad():  # not inference_mode: a model may keep tensors for training
                inputs, targets = feed(batch, train=False)
                with autocast(place):
                    outputs = model(inputs)
                outputs = main_output(outputs).float()
            yield outputs, targets, batch
    finally:
        model.train(was)


def main_output(outputs: Any) -> Tensor:
    """The classifier's output ``(N, K)`` of a model that gives several."""
    if isinstance(outputs, dict):
        outputs = outputs.get("logits", outputs.get("out", next(iter(outputs.values()))))
    found: Tensor = outputs[0] if isinstance(outputs, (tuple, list)) else outputs
    return found


def evaluate(
    model: nn.Module,
    batches: Iterable[Any],
    *,
    loss: Loss,
    feed: Callable[..., Any],
    place: Place,
    world: World = ALONE,
    metrics: Mapping[str, Metric] | None = None,
    stop: object = False,
    record: Callable[[Tensor, Tensor, Any], None] | None = None,
) -> Evaluation:
    """Evaluate a model on this rank's share of a data set, and add the ranks up.

    Args:
        model: Not wrapped; it is in the mode afterwards that it was in before.
        batches: This rank's batches; ranks may have different numbers of them, even none.
        loss: Mean over the batch.
        feed: Prepares a batch.
        place: Where and how precisely.
        world: The ranks.
        metrics: Further metrics by name; with several ranks, each sees everybody's outputs.
        stop: Truthy as soon as the evaluation should be given up.
        record: Shown each of this rank's batches: outputs ``(N, K)``, targets, the batch.

    Raises:
        Stopped: ``stop`` became true on some rank.
        DataError: Some rank cannot read an image; on every rank.
    """
    tally = Tally(loss)
    seen: list[tuple[Tensor, Tensor]] = []
    stopped = False
    trouble: DataError | None = None
    try:
        for outputs, targets, batch in infer(model, batches, feed=feed, place=place):
            tally.add(outputs, targets)
            if record:
                record(outputs, targets, batch)
            if metrics:
                seen.append((outputs.cpu(), targets.cpu()))
            if stop:
                stopped = True
                break
    except DataError as error:
        if world.size == 1:
            raise
        trouble = error
    stops, lost = world.sum([stopped, trouble is not None])
    if lost:
        world.agree(trouble)
    if stops:
        raise Stopped
    further = _compute(metrics, world.gather(seen)) if metrics else {}
    return tally.result(world, further)


class Tally:
    """Sums over images. Kept on the device until the end, so that nothing waits for it.

    Args:
        loss: Mean over the batch.
    """

    def __init__(self, loss: Loss) -> None:
        self._averaging = Averaging(loss)
        self._losses: list[Tensor] = []
        self._divisors: list[Tensor] = []
        self._counts: list[int] = []
        self._hits: list[Tensor] = []
        self._confusion: Tensor | None = None
        self.classes = False

    def add(self, outputs: Tensor, targets: Tensor) -> None:
        """Take one batch: outputs ``(N, K)`` and targets ``(N, ...)``."""
        with torch.no_grad():
            how = self._averaging
            self._losses.append(how.loss(outputs, targets).detach().float())
            self._counts.append(len(outputs))
            if how.weighed:
                self._divisors.append(how.divisor(outputs, targets))
            if has_classes(outputs, targets):
                self.classes = True
                self._hits.append(hits(outputs, targets))
                self._confuse(outputs, targets)

    def _confuse(self, outputs: Tensor, targets: Tensor) -> None:
        k = outputs.shape[1]
        cells = torch.bincount(targets * k + outputs.argmax(1), minlength=k * k).view(k, k)
        self._confusion = cells if self._confusion is None else self._confusion.add_(cells)

    def result(self, world: World, metrics: Mapping[str, float]) -> Evaluation:
        """Add the ranks up; every rank gets the same."""
        n = float(sum(self._counts))
        sums = [0.0, 0.0, 0.0, n, n]
        if self._losses:
            times = torch.tensor(1 if self._averaging.summed else self._counts, dtype=torch.float64)
            sums[0] = float((torch.stack(self._losses).cpu().double() * times).sum())
        if self._divisors:
            sums[4] = float(torch.stack(self._divisors).cpu().double().sum())
        if self._hits:
            sums[1:3] = torch.stack(self._hits).cpu().double().sum(0).tolist()
        classes = 0 if self._confusion is None else len(self._confusion)
        everyone = world.gather((sums, self.classes, classes))
        k = max(entry[2] for entry in everyone)
        confusion = None
        if k:
            mine = torch.zeros(k, k, dtype=torch.int64)
            mine = mine if self._confusion is None else self._confusion.cpu().clone()
            confusion = world.sum_tensor(mine)
        total = [sum(entry[0][index] for entry in everyone) for index in range(5)]
        n = max(1.0, total[3])
        known = any(entry[1] for entry in everyone)
        return Evaluation(
            n=int(total[3]),
            loss=total[0] / total[4] if total[4] else float("nan"),
            top1=total[1] / n if known else None,
            top5=total[2] / n if known else None,
            confusion=confusion,
            metrics=metrics,
        )


def has_classes(outputs: Tensor, targets: Tensor) -> bool:
    """Whether targets are class indices ``(N,)`` of outputs ``(N, K)``."""
    return outputs.ndim == 2 and targets.ndim == 1 and not targets.is_floating_point()


def hits(outputs: Tensor, targets: Tensor) -> Tensor:
    """Count top-1 and top-5 hits.

    A model that gives the same number for everything scores 1 in K; an output that is nan is never
    a hit.

    Args:
        outputs: ``(N, K)``.
        targets: Class indices ``(N,)``.

    Returns:
        ``(2,)`` fp32 on the device.
    """
    rank = ranks(outputs, targets)
    return torch.stack([rank < 1, rank < min(5, outputs.shape[1])]).sum(1).float()


def ranks(outputs: Tensor, targets: Tensor) -> Tensor:
    """Places of the true classes among the outputs, 0 = the largest; those of nan are the last.

    Equal outputs are ranked by their index, as ``argmax`` does.

    Args:
        outputs: ``(N, K)``.
        targets: Class indices ``(N,)``.

    Returns:
        ``(N,)`` int64 on the device.
    """
    column = targets[:, None]
    own = outputs.gather(1, column)
    index = torch.arange(outputs.shape[1], device=outputs.device)
    behind = (outputs < own).logical_or_((outputs == own).logical_and_(index >= column))
    return outputs.shape[1] - behind.sum(1)  # a nan is behind nothing


def _compute(
    metrics: Mapping[str, Metric], shards: list[list[tuple[Tensor, Tensor]]]
) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, metric in metrics.items():
        metric.reset()
        for outputs, targets in (pair for shard in shards for pair in shard):
            metric.update(outputs, targets)
        value = metric.compute()
        if isinstance(value, Mapping):
            found |= {f"{name}/{key}": float(item) for key, item in value.items()}
        else:
            found[name] = float(value)
    return found
