"""A trained model whose answers another one learns from, beside the labels (distillation).

Hinton, Vinyals and Dean 2015, https://arxiv.org/abs/1503.02531: what a teacher thinks of the wrong
classes says more of an image than its label does. The loss is

    (1 - share) * loss(outputs, labels) + share * T^2 * KL(softmax(teacher / T) || softmax(outputs / T))

The teacher sees the very images that the student is shown, mixed ones too, at its own size and
normalised in its own way. N batch, K classes.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812 - as everybody calls it

from zoo.engine.averaging import Averaging
from zoo.engine.evaluate import main_output
from zoo.engine.freezing.proof import digest
from zoo.engine.parts import is_convolutional
from zoo.engine.place import autocast
from zoo.engine.start.loading import load_run
from zoo.errors import CheckpointError, UsageError, ZooError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.core.protocols import Loss
    from zoo.core.recipe import Recipe
    from zoo.core.registry import Registry
    from zoo.core.specs import InputSpec
    from zoo.engine.begun import Begun
    from zoo.engine.parts import Built
    from zoo.engine.place import Place
    from zoo.engine.start.loaded import Loaded


class Teacher:
    """A model that answers beside the labels; it does not train.

    Args:
        loaded: The trained model.
        classes: The student's classes, in the order of its outputs; the teacher knows them all.
        seen: How the student's images are normalised.
        place: Where and how precisely.
        share: Of its answers in the loss.
        temperature: Outputs are divided by it before they are compared.
        source: How it was asked for.

    Raises:
        UsageError: It does not know a class, or takes images of another number of channels.
    """

    def __init__(
        self,
        loaded: Loaded,
        classes: Sequence[str],
        seen: InputSpec,
        place: Place,
        *,
        share: float,
        temperature: float,
        source: str = "",
    ) -> None:
        self.place, self.share, self.temperature, self.source = place, share, temperature, source
        self.size = tuple(loaded.input.size[1:])
        self._rows = _rows(loaded, classes).to(place.device)
        if loaded.input.size[0] != seen.size[0]:
            raise UsageError(
                f"the teacher takes images of {loaded.input.size[0]} channels, the student of "
                f"{seen.size[0]}",
                hint="--in-channels N for the student, or another --teacher",
            )
        layout = torch.preserve_format
        if place.channels_last and is_convolutional(loaded.model):
            layout = torch.channels_last
        model: nn.Module = loaded.model.requires_grad_(requires_grad=False).eval()
        self.model = model.to(place.device, memory_format=layout)  # type: ignore[call-overload]
        self._scale, self._shift = _between(seen, loaded.input, place)

    @cached_property
    def record(self) -> dict[str, str]:
        """Which teacher it is: how it was asked for, and the sha256 of its tensors."""
        found = hashlib.sha256()
        for name, tensor in sorted(self.model.state_dict().items()):
            found.update(f"{name} {digest(tensor)}\n".encode())
        return {"source": self.source, "sha256": found.hexdigest()}

    @torch.no_grad()
    def answers(self, images: Tensor) -> Tensor:
        """What the teacher says: images (N, C, H, W) as the student is shown them, to (N, K)."""
        own = images * self._scale + self._shift
        if tuple(own.shape[-2:]) != self.size:
            own = F.interpolate(own, self.size, mode="bilinear", antialias=True)
        with autocast(self.place):
            found = main_output(self.model(own))
        return found.float()[:, self._rows]

    def mixed(self, value: Tensor, outputs: Tensor, images: Tensor) -> Tensor:
        """The loss with the teacher's part.

        Args:
            value: The loss by the labels ``()``.
            outputs: Of the student ``(N, K)``, fp32.
            images: What it was shown (N, C, H, W).

        Returns:
            ``()``.
        """
        told = F.log_softmax(self.answers(images) / self.temperature, 1)
        mine = F.log_softmax(outputs / self.temperature, 1)
        apart = F.kl_div(mine, told, reduction="batchmean", log_target=True)
        return (1 - self.share) * value + self.share * self.temperature**2 * apart


def find_teacher(
    recipe: Recipe,
    registry: Registry,
    built: Built,
    classes: Sequence[str],
    seen: InputSpec,
    place: Place,
    loss: Loss,
    begun: Begun | None = None,
) -> Teacher | None:
    """The recipe's teacher, or ``None``.

    Args:
        recipe: A checked recipe.
        registry: Where models are.
        built: The student.
        classes: Of the data.
        seen: How its images are normalised.
        place: Where it computes.
        loss: What is minimised besides.
        begun: What was decided before, if the run goes on.

    Raises:
        ZooError: The teacher cannot be had.
        CheckpointError: It is another one than the run began with.
        UsageError: It does not fit the student, or the loss is no mean over images.
    """
    part = recipe.loss
    if part.teacher is None:
        return None
    how = Averaging(loss)
    if how.weighed or how.summed:
        raise UsageError(
            "--teacher with a loss that weighs classes, leaves labels out or is a sum: their "
            "parts could not be added",
            hint="leave the weights out, or the teacher",
        )
    outputs = built.report.outputs or len(classes)
    if outputs != len(classes):
        raise UsageError(
            f"--teacher {part.teacher}: the student has {outputs} outputs and the data "
            f"{len(classes)} classes",
            hint="leave --classes, --drop-last and --project out",
        )
    try:
        where = (begun and begun.teacher) or part.teacher
        loaded = load_run(where, registry, runs=recipe.output.dir)
    except ZooError as error:
        error.message = f"--teacher: {error.message}"
        raise
    share, temperature = part.teacher_share, part.temperature
    found = Teacher(
        loaded, classes, seen, place, share=share, temperature=temperature, source=part.teacher
    )
    if begun and begun.taught and begun.taught != found.record["sha256"]:
        raise CheckpointError(
            f"the teacher {part.teacher} is another one than when the run began",
            hint="bring that one back, or start a new run from this one: --weights run:NAME",
        )
    return found


def _rows(loaded: Loaded, classes: Sequence[str]) -> Tensor:
    """Where the student's classes are among the teacher's outputs, int64 (K,)."""
    known = {name: row for row, name in enumerate(loaded.classes)}
    lost = [name for name in classes if name not in known]
    if lost or not known:
        few = ", ".join(lost[:3]) + (f" and {len(lost) - 3} more" if len(lost) > 3 else "")
        raise UsageError(
            f"the teacher does not know the classes {few}",
            hint="train it on them first: zoo finetune MODEL --data DATA, then --teacher run:NAME",
        )
    return torch.tensor([known[name] for name in classes])


def _between(mine: InputSpec, other: InputSpec, place: Place) -> tuple[Tensor, Tensor]:
    """Factor and summand (1, C, 1, 1) from images normalised for one model to those for another."""
    channels = mine.size[0]

    def column(values: Sequence[float], usual: float) -> Tensor:
        given = list(values) or [usual] * channels
        return torch.tensor(given, dtype=torch.float32, device=place.device).view(1, -1, 1, 1)

    scale = column(mine.std, 1.0) / column(other.std, 1.0)
    shift = (column(mine.mean, 0.0) - column(other.mean, 0.0)) / column(other.std, 1.0)
    return scale, shift
