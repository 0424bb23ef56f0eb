"""The answer to a freeze request: names, counts, held modules, and how they change by epoch."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.engine.freezing.cone import canonical_parameters, inside
from zoo.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import nn

    from zoo.engine.freezing.stages import Layout

_SAID = {"eval": "eval", "update": "statistics move", "affine": "eval, scale and shift train"}
_MANY = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class FreezePlan:
    """What is frozen from one epoch on.

    Attributes:
        frozen: Parameters that do not train, in the model's order.
        trainable: Parameters that do.
        frozen_parts: Names for people: stages, or paths inside a stage that is split.
        trainable_parts: The same for what trains.
        frozen_size: Number of frozen scalars.
        trainable_size: Number of trainable scalars.
        eval_modules: Outermost modules held in eval mode.
        update_modules: Norm layers inside them that stay in train mode (``frozen_bn=update``).
        norms: Norm layers with running statistics in the frozen part.
        frozen_bn: ``eval``, ``update`` or ``affine``.
        how: How it was found: ``meta``, a device, or ``declared order``.
        warnings: Sentences to show before training.
        adapters: What adapters there are, one line, or empty.
        epoch: Epochs done before this plan holds.
        later: Plans that replace it, by epoch.
    """

    frozen: tuple[str, ...] = ()
    trainable: tuple[str, ...] = ()
    frozen_parts: tuple[str, ...] = ()
    trainable_parts: tuple[str, ...] = ()
    frozen_size: int = 0
    trainable_size: int = 0
    eval_modules: tuple[str, ...] = ()
    update_modules: tuple[str, ...] = ()
    norms: tuple[str, ...] = ()
    frozen_bn: str = "eval"
    how: str = ""
    warnings: tuple[str, ...] = ()
    adapters: str = ""
    epoch: int = 0
    later: tuple[FreezePlan, ...] = ()

    @property
    def ever_trainable(self) -> tuple[str, ...]:
        """Parameters that train in some epoch: what the optimizer's groups are made of."""
        names = {*self.trainable, *(name for plan in self.later for name in plan.trainable)}
        return tuple(name for name in (*self.frozen, *self.trainable) if name in names)

    @property
    def ever_frozen(self) -> tuple[str, ...]:
        """Parameters that no epoch trains."""
        return tuple(name for name in self.frozen if name not in set(self.ever_trainable))

    def at_epoch(self, epoch: int) -> FreezePlan:
        """The plan once ``epoch`` epochs are done (0 before the first), ``later`` emptied."""
        plans = [self, *(plan for plan in self.later if plan.epoch <= epoch)]
        return dataclasses.replace(plans[-1], later=())

    def line(self) -> str:
        """One line for people: what is frozen, what trains, how much."""
        trains = f"trainable {' '.join(self.trainable_parts)} | {self.trainable_size:,}"
        if not self.frozen:
            return f"{trains} params"
        norms = f", {len(self.norms)} BN ({_SAID[self.frozen_bn]})" if self.norms else ""
        parts = " ".join(self.frozen_parts)
        return f"frozen {parts} | {self.frozen_size:,} params{norms} || {trains}"

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        found = dataclasses.asdict(self)
        return found | {"later": [plan.to_dict() for plan in self.later]}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> FreezePlan:
        """Read what :meth:`to_dict` wrote.

        Raises:
            CheckpointError: It is something else.
        """
        try:
            values: dict[str, Any] = {
                k: tuple(v) if isinstance(v, list | tuple) else v for k, v in data.items()
            }
            later = tuple(cls.from_dict(plan) for plan in values.pop("later", ()))
            return cls(**values, later=later)
        except (TypeError, AttributeError) as error:
            raise CheckpointError(f"this is not a freeze plan: {error}") from error


def part_names(model: nn.Module, layout: Layout, names: frozenset[str]) -> tuple[str, ...]:
    """How people call a set of parameters: whole parts by name, split ones by their members."""
    parameters = canonical_parameters(model)
    found: list[str] = []
    seen: set[str] = set()
    parts = [*layout.parts(), ("other", ("",))]
    for label, paths in parts:
        own = [
            path
            for path, canonical in parameters.items()
            if canonical not in seen and any(inside(path, p) for p in paths)
        ]
        seen |= {parameters[path] for path in own}
        mine = [path for path in own if parameters[path] in names]
        if mine and len(mine) == len(own):
            found.append(label)
        elif mine:
            pieces = _pieces(own, frozenset(mine))
            found += pieces if len(pieces) <= _MANY else [f"{label} (part)"]
    return tuple(dict.fromkeys(found))


def _pieces(own: list[str], mine: frozenset[str]) -> list[str]:
    """Outermost dotted prefixes whose parameters all belong to ``mine``."""
    found: list[str] = []
    for path in own:
        if path not in mine or any(inside(path, piece) for piece in found):
            continue
        steps = path.split(".")
        ways = (".".join(steps[:n]) for n in range(1, len(steps) + 1))
        found.append(next(w for w in ways if all(p in mine for p in own if inside(p, w))))
    return found
