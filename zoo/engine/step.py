"""One optimizer step: a window of micro-batches forward and backward, then the update.

The gradient is that of the mean loss over every image of the window on every rank, also where the
last window is short or shards are uneven: each micro-batch's mean loss is weighted by its share
of the images, never by one over the number of micro-batches. (What class weights and sums do
instead, :mod:`zoo.engine.averaging` says.)
"""

from __future__ import annotations

import gc
import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from zoo.engine.averaging import Averaging
from zoo.engine.evaluate import has_classes, hits, main_output
from zoo.engine.place import autocast, seed_step, tune
from zoo.engine.processes.sharded import is_sharded, whole
from zoo.engine.processes.wrapping import quietly
from zoo.engine.work import enough_threads
from zoo.errors import DataError, NumericsError, ZooError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from zoo.core.protocols import Loss
    from zoo.engine.place import Place
    from zoo.engine.processes.distributed import World
    from zoo.engine.saving.live import Live
    from zoo.engine.teacher import Teacher

STREAM = 1
"""Number of this stream of random numbers; data has others."""

AUX_WEIGHTS = {1: 0.4, 2: 0.3}
"""Weight of each auxiliary output's loss by how many there are (Inception v3, GoogLeNet)."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one window gave, over all ranks.

    Attributes:
        n: Images.
        loss: Mean per image.
        top1: Hits; ``None`` without class targets.
        top5: Hits among the five largest.
        norm: Of the gradient before clipping; ``None`` without clipping, unless it is why the
            parameters were not changed.
        updated: Whether the parameters were changed.
        flags: How many ranks raised each flag.
    """

    n: int
    loss: float
    top1: float | None
    top5: float | None
    norm: float | None
    updated: bool
    flags: tuple[int, ...] = ()


class Stepper:
    """Takes optimizer steps. Holds what stays the same from step to step.

    Args:
        live: What training changes.
        loss: Mean over the batch.
        feed: Prepares a batch (:class:`zoo.engine.feed.Feed`, or alike).
        place: Where and how precisely.
        world: The ranks.
        seed: Of the run.
        clip: Largest norm of the gradient.
        careful: Whether to leave out a step whose gradient is not finite, also without ``clip``.
        teacher: Whose answers count in the loss, too.
    """

    def __init__(
        self,
        live: Live,
        *,
        loss: Loss,
        feed: Callable[..., tuple[Tensor, Tensor]],
        place: Place,
        world: World,
        seed: int,
        clip: float | None = None,
        careful: bool = False,
        teacher: Teacher | None = None,
    ) -> None:
        self.live, self.feed = live, feed
        self._averaging, self._teacher = Averaging(loss), teacher
        self.place, self.world = place, world
        self.seed, self.clip = seed, clip
        self._looks = bool(clip) or (careful and live.scaler is None)  # a scaler looks by itself
        self._notes: list[str] = []
        self._blank: tuple[Tensor, Tensor] | None = None
        self._buffers: list[Tensor] = []
        live.optimizer.zero_grad(set_to_none=True)
        tune(place)

    def begin_epoch(self) -> None:
        """Look which buffers a forward changes; call it after freezing parts and ``train()``."""
        self._buffers = [
            buffer
            for module in self.live.model.modules()
            if module.training
            for buffer in module.buffers(recurse=False)
        ]

    def step(
        self,
        module: nn.Module,
        window: Sequence[Any],
        *,
        flags: Callable[[], tuple[int, ...]] = lambda: (),
        trouble: ZooError | None = None,
    ) -> Outcome:
        """Take one step; without the update if the loss or the gradient is not finite.

        Args:
            module: The model as training calls it, possibly wrapped.
            window: Micro-batches, as many on every rank.
            flags: Asked after the backward; what this rank wants the others to know.
            trouble: Why this rank has no window; all stop with it, before anything is computed.

        Raises:
            ZooError: The trouble of some rank, on every rank.
            NumericsError: Out of memory, and the micro-batch cannot be made smaller.
        """
        live, at = self.live, self.live.position
        before = [buffer.clone() for buffer in self._buffers]
        images = sum(len(batch.labels) for batch in window)
        count, lost = self.world.sum([images, trouble is not None])
        if lost:
            self.world.agree(trouble)
        if (at.epoch, at.batch) in at.bad or not count:
            mine = [math.nan, 0.0, 0.0, 0.0, 0.0]
        else:
            with enough_threads(self.place, module, window[0].images):
                mine = self._gradient(module, window, count, before)
        loss, top1, top5, known, divisor, *agreed = self.world.sum([*mine, *flags()])
        if self._averaging.weighed and divisor:
            self._scale(count / divisor)
        norm = self._norm() if self._looks and math.isfinite(loss) else None
        finite = math.isfinite(loss) and (norm is None or live.scaler or math.isfinite(norm))
        if finite:
            self._update()
        else:
            self._put_back(before)
        live.optimizer.zero_grad(set_to_none=True)
        return Outcome(
            n=int(count),
            loss=loss / (divisor or 1.0),
            top1=top1 if known else None,
            top5=top5 if known else None,
            norm=norm if self.clip or not finite else None,
            updated=bool(finite),
            flags=tuple(int(flag) for flag in agreed),
        )

    def remarks(self) -> list[str]:
        """What people should know, once."""
        notes, self._notes = self._notes, []
        return notes

    def _put_back(self, before: list[Tensor]) -> None:
        """Undo what forwards did to running statistics: a step that is left out leaves no trace."""
        for buffer, value in zip(self._buffers, before, strict=True):
            buffer.copy_(value)

    def _gradient(
        self, module: nn.Module, window: Sequence[Any], count: float, before: list[Tensor]
    ) -> list[float]:
        """Sums of loss and hits over this rank's images, and what the loss's is divided by.

        Gradients are left in the parameters.
        """
        while True:
            trouble = ""
            try:
                return self._backward(module, window, count)
            except (RuntimeError, MemoryError) as error:
                lost = self.world.alone(error)
                if lost is not None:
                    raise lost from error
                if not out_of_memory(error):
                    raise
                trouble = str(error).partition("\n")[0][:120]
            self._put_back(before)
            self._halve(max(len(batch.labels) for batch in window), trouble)

    def _backward(self, module: nn.Module, window: Sequence[Any], count: float) -> list[float]:
        at, how = self.live.position, self._averaging
        told: list[Callable[[], list[float]]] = []
        sizes: list[int] = []
        known = False
        for offset, batch in enumerate(window):
            seed_step(self.place, self.seed, STREAM, at.epoch, at.batch + offset, self.world.rank)
            needed = offset == len(window) - 1 or is_sharded(module)
            pieces = self._pieces(batch, 1 if is_sharded(module) else at.pieces, needed=needed)
            classes = batch.labels.ndim == 1 and not batch.labels.is_floating_point()
            for index, (x, y) in enumerate(pieces):
                last = offset == len(window) - 1 and index == len(pieces) - 1
                with quietly(module, last=last):
                    value, outputs = self._forward(module, x, y)
                    if len(batch.labels):
                        picked = y.argmax(1) if y.shape == outputs.shape else y
                        known = classes and has_classes(outputs, picked)
                        found = hits(outputs, picked) if known else value.new_zeros(2)
                        row = torch.cat([value.detach().float().reshape(1), found.float()])
                        if how.weighed:
                            row = torch.cat([row, how.divisor(outputs, y).reshape(1)])
                        told.append(on_its_way(row))
                        sizes.append(len(x))
                    share = self._share(len(x), count) if len(batch.labels) else 0.0
                    scaled = value if share == 1.0 else value * share
                    backward(self.live.scaler.scale(scaled) if self.live.scaler else scaled)
        if not told:
            return [0.0, 0.0, 0.0, 0.0, 0.0]
        table = [ask() for ask in told]  # waits for the forward, not for the backward
        times = [1] * len(sizes) if how.summed else sizes
        loss = math.fsum(size * row[0] for size, row in zip(times, table, strict=True))
        divisor = math.fsum(row[3] for row in table) if how.weighed else float(sum(sizes))
        hit = [sum(row[1] for row in table), sum(row[2] for row in table)]
        return [loss, *hit, float(known), divisor]

    def _share(self, images: int, count: float) -> float:
        """What a piece's loss is multiplied by; DDP takes the mean over the processes."""
        if self._averaging.weighed:
            return self.world.size / count  # and what the weights are is known after the backward
        return (
            float(self.world.size) if self._averaging.summed else images * self.world.size / count
        )

    def _scale(self, factor: float) -> None:
        """Multiply the gradients."""
        for group in self.live.optimizer.param_groups:
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.grad.mul_(factor)

    def _pieces(self, batch: Any, count: int, *, needed: bool) -> list[tuple[Tensor, Tensor]]:
        """Inputs ``(N, ...)`` and targets ``(N, ...)`` of a micro-batch, cut in ``count``.

        A batch without images (all were unreadable) gives nothing, or, if the other ranks wait
        for this one, two blank images that weigh nothing.
        """
        if len(batch.labels):
            inputs, targets = self.feed(batch, train=True)
            if self.world.size > 1 and self._blank is None:
                self._blank = inputs[:1] * 0, targets[:1] * 0
            if count == 1:
                return [(inputs, targets)]
            return list(zip(inputs.chunk(count), targets.chunk(count), strict=True))
        if self.world.size == 1 or not needed:
            return []
        if self._blank is None:
            raise DataError("a process has no readable image to begin with", hint="zoo doctor DATA")
        inputs, targets = (torch.cat([tensor, tensor]) for tensor in self._blank)
        return [(inputs, targets)]

    def _forward(self, module: nn.Module, x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Loss ``()`` and outputs ``(N, K)``."""
        with autocast(self.place):
            given = module(x)
        outputs = main_output(given).float()
        value = self._averaging.loss(outputs, y)
        others = auxiliary(given, outputs)
        for other in others:
            value = value + AUX_WEIGHTS.get(len(others), 0.3) * self._averaging.loss(
                other.float(), y
            )
        if self._teacher is not None:
            value = self._teacher.mixed(value, outputs, x)
        return value, outputs.detach()

    def _norm(self) -> float:
        """Norm of the gradient, which is clipped if it is to be."""
        if self.live.scaler:
            self.live.scaler.unscale_(self.live.optimizer)
        trained = [p for group in self.live.optimizer.param_groups for p in group["params"]]
        if self.clip:
            return float(whole(nn.utils.clip_grad_norm_(trained, self.clip)))
        return float(
            whole(nn.utils.get_total_norm([p.grad for p in trained if p.grad is not None]))
        )

    def _update(self) -> None:
        live = self.live
        if live.scaler:
            live.scaler.step(live.optimizer)
            live.scaler.update()
        else:
            live.optimizer.step()
        if live.ema:
            live.ema.update(live.model)

    def _halve(self, size: int, trouble: str) -> None:
        """Cut micro-batches in half; the images of an optimizer step stay the same."""
        at = self.live.position
        if self.world.size > 1 or size // at.pieces <= 1:
            cure = "--set data.batch_size=N with fewer, --set optim.accumulate=M with more"
            raise NumericsError(f"out of memory: {trouble}", hint=cure)
        at.pieces *= 2
        self.live.optimizer.zero_grad(set_to_none=True)
        gc.collect()
        if self.place.device.type != "cpu":
            torch.accelerator.empty_cache()
        self._notes.append(
            f"out of memory with {math.ceil(size * 2 / at.pieces)} images at a time; going on "
            f"with {math.ceil(size / at.pieces)}, the images of an optimizer step stay the same"
        )


def on_its_way(row: Tensor) -> Callable[[], list[float]]:
    """Send a few numbers ``(K,)`` to the host; what is given waits for them, and for nothing later.

    So that a GPU is given its next work while it still does what was asked after these numbers.
    """
    if row.device.type != "cuda":
        return row.tolist
    there = torch.empty(row.shape, dtype=row.dtype, pin_memory=True)
    there.copy_(row, non_blocking=True)
    event = torch.cuda.Event()  # type: ignore[no-untyped-call]
    event.record()

    def ask() -> list[float]:
        event.synchronize()
        found: list[float] = there.tolist()
        return found

    return ask


def backward(value: Any) -> None:
    """``value.backward()``, which torch leaves without types."""
    value.backward()


def auxiliary(given: Any, outputs: Tensor) -> list[Tensor]:
    """Outputs of auxiliary classifiers: what else a model gives in the main output's shape."""
    rest = list(given.values()) if isinstance(given, dict) else given
    if not isinstance(rest, (tuple, list)):
        return []
    return [
        item
        for item in rest[1:]
        if isinstance(item, Tensor) and item.shape == outputs.shape and item.requires_grad
    ]


def out_of_memory(error: BaseException) -> bool:
    """Whether an error says that memory ran out, on whatever device."""
    if isinstance(error, (torch.OutOfMemoryError, MemoryError)):
        return True
    text = str(error)
    return "can't allocate memory" in text or "out of memory" in text
