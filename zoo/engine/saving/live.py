"""What training changes, as one thing that can be written down and put back.

:class:`Live` holds the model and everything that moves with it; :class:`Position` the counters.
Together they are the whole state of a run: randomness is derived from the seed and the position,
so there is no random state to keep.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import torch
from torch import nn

from zoo.engine.ema import Ema
from zoo.engine.processes.sharded import is_sharded, spread, whole
from zoo.engine.saving.state import pack, pack_optimizer, unpack, unpack_optimizer
from zoo.engine.schedule import Schedule
from zoo.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


@dataclass(slots=True, kw_only=True)
class Position:
    """How far a run is, and what it has to remember.

    Attributes:
        epoch: The epoch that is being trained, from 0; equal to the epochs when all are done.
        batch: Micro-batches of this epoch that have been used.
        step: Optimizer steps done.
        world: Processes that the batches were dealt to.
        whole: Images of a micro-batch over all of them; 0 = not known.
        best: The best monitored value so far.
        best_epoch: The epoch that gave it, from 0.
        waited: Epochs since then.
        finished: Nothing is left to do.
        pieces: Into how many pieces micro-batches are cut since memory ran out; 1 = whole.
        skipped: Optimizer steps left out because the loss was not finite.
        skipped_in_row: How many of them one after another until now.
        rollbacks: How often the run went back to a save because of that.
        bad: ``(epoch, batch)`` of the windows that led to it, to be left out.
        sums: Of this epoch's training: loss, top-1, top-5, images.
        views: Random views of each training image that the run takes in turn, decided when it
            began; 0 = fresh ones every epoch, ``None`` = nothing was decided.
        parts: Whether a head's views come back in parts of the map that it pools.
        seconds: Of training until then, where the run has a limit.
        cut: Whether the last epoch was cut short because the time was up.
    """

    epoch: int = 0
    batch: int = 0
    step: int = 0
    world: int = 1
    whole: int = 0
    best: float | None = None
    best_epoch: int | None = None
    waited: int = 0
    finished: bool = False
    pieces: int = 1
    skipped: int = 0
    skipped_in_row: int = 0
    rollbacks: int = 0
    bad: list[tuple[int, int]] = field(default_factory=list)
    sums: list[float] = field(default_factory=lambda: [0.0, 0.0, 0.0, 0.0])
    views: int | None = None
    parts: bool = False
    seconds: float = 0.0
    cut: bool = False


@dataclass(slots=True, kw_only=True)
class Live:
    """The objects that training changes.

    Attributes:
        model: The whole model, not wrapped.
        optimizer: Over the parameters that train.
        schedule: Of its learning rates.
        ema: Averaged copy, if wanted.
        scaler: Of fp16 gradients, if needed.
        position: How far the run is.
    """

    model: nn.Module
    optimizer: torch.optim.Optimizer
    schedule: Schedule
    ema: Ema | None = None
    scaler: torch.amp.GradScaler | None = None
    position: Position = field(default_factory=Position)

    @property
    def judged(self) -> nn.Module:
        """The module that is evaluated and published: the averaged copy if there is one."""
        return self.ema.module if self.ema else self.model

    def capture(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Split everything into tensors and a JSON skeleton.

        Returns:
            References to the live tensors under ``model/``, ``ema/``, ``optim/`` ..., and the
            skeleton. Write them before the next step changes them. Sharded ones are gathered:
            every rank has to call this.

        Raises:
            TypeError: An optimizer or schedule holds something that cannot be saved.
        """
        tensors: dict[str, Tensor] = {}
        skeleton = self._skeleton(tensors)
        return {name: whole(tensor) for name, tensor in tensors.items()}, skeleton

    def _skeleton(self, tensors: dict[str, Tensor]) -> dict[str, Any]:
        return {
            "model": pack(dict(self.model.state_dict()), "model", tensors),
            "ema": self.ema and pack(dict(self.ema.module.state_dict()), "ema", tensors),
            "optim": pack_optimizer(self.optimizer, self.model, tensors),
            "schedule": pack(self.schedule.state_dict(), "schedule", tensors),
            "scaler": self.scaler and pack(self.scaler.state_dict(), "scaler", tensors),
            "position": pack(asdict(self.position), "position", tensors),
        }

    def take_part(self) -> None:
        """Help another rank to capture, where the model is sharded; keeps nothing."""
        if not is_sharded(self.model):
            return
        tensors: dict[str, Tensor] = {}
        self._skeleton(tensors)
        for tensor in tensors.values():
            whole(tensor)

    def restore(self, tensors: Mapping[str, Tensor], skeleton: Mapping[str, Any]) -> None:
        """Put a captured state back, bit for bit.

        Raises:
            CheckpointError: It is of another model, optimizer or kind of run. Names and shapes
                are compared before anything is touched.
        """
        try:
            model = unpack(skeleton["model"], tensors)
            check_fit(self.model, model)
            if (self.ema is None) != (skeleton["ema"] is None):
                raise CheckpointError(
                    "averaged weights (optim.ema) are on in only one of the run and the save",
                    hint="resume with the run's own recipe",
                )
            position = position_of(tensors, skeleton)
            unpack_optimizer(self.optimizer, self.model, skeleton["optim"], tensors)
            self.schedule.load_state_dict(unpack(skeleton["schedule"], tensors))
            fill(self.model, model)
            if self.ema:
                fill(self.ema.module, unpack(skeleton["ema"], tensors))
            if self.scaler and skeleton["scaler"]:
                self.scaler.load_state_dict(unpack(skeleton["scaler"], tensors))
        except _NONSENSE as error:
            raise _damaged(error) from error
        if position.views is None:  # it was saved before that was written down
            position.views, position.parts = self.position.views, self.position.parts
        self.position = position


def position_of(tensors: Mapping[str, Tensor], skeleton: Mapping[str, Any]) -> Position:
    """How far a captured state is.

    Raises:
        CheckpointError: It says so in no way that is known.
    """
    try:
        position = msgspec.convert(unpack(skeleton["position"], tensors), Position)
        if len(position.sums) != len(Position().sums):
            raise ValueError("its sums are of another number")
    except _NONSENSE as error:
        raise _damaged(error) from error
    return position


_NONSENSE = (KeyError, TypeError, AttributeError, ValueError, IndexError, RuntimeError)
"""What torch's ``load_state_dict`` methods raise of a state that is not theirs."""


def _damaged(error: Exception) -> CheckpointError:
    return CheckpointError(f"the saved state is damaged or incomplete: {error}")


def fill(model: nn.Module, tensors: Mapping[str, Any]) -> None:
    """Put tensors into a model, after a check that names and shapes are the same.

    Batch norms' counters that old files lack stay as they are. Classes that look at the version
    of what they load (MNASNet refuses none at all) see their own.

    Raises:
        CheckpointError: Names or shapes differ; the model is as it was.
    """
    check_fit(model, tensors)
    state = model.state_dict()
    state.update({name: spread(value, state.get(name)) for name, value in tensors.items()})
    model.load_state_dict(state)


def check_fit(model: nn.Module, tensors: Mapping[str, Any]) -> None:
    """Compare names and shapes of a state dict with a model's, without touching the model.

    Counters of batch norms may be missing: they do not change what a model computes.

    Raises:
        CheckpointError: They differ; gives counts and the first names.
    """
    mine = model.state_dict()
    missing = [n for n in mine if n not in tensors and not n.endswith("num_batches_tracked")]
    extra = [name for name in tensors if name not in mine]
    shapes = [
        f"{name} is {tuple(tensors[name].shape)}, the model has {tuple(value.shape)}"
        for name, value in mine.items()
        if name in tensors
        and isinstance(value, torch.Tensor)
        and tensors[name].shape != value.shape
    ]
    if not (missing or extra or shapes):
        return
    said = [f"{len(missing)} missing ({', '.join(missing[:2])})"] if missing else []
    said += [f"{len(extra)} unexpected ({', '.join(extra[:2])})"] if extra else []
    said += [f"{len(shapes)} of another shape ({shapes[0]})"] if shapes else []
    raise CheckpointError("the weights do not fit the model: " + "; ".join(said))
