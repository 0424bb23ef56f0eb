"""A start: what a model is built and filled from, whatever said so."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import msgspec
from torch import Tensor

from zoo.core.metadata import MAX_CLASSES
from zoo.core.recipe import SurgeryPart
from zoo.core.specs import InputSpec, ModelSpec
from zoo.errors import CheckpointError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from zoo.core.metadata import CheckpointInfo
    from zoo.core.registry import Registry

    Progress = Callable[[int, int | None], None]
    Note = Callable[[str], None]


LOADERS = frozenset(
    {"weights", "weights_backbone", "pretrained", "pretrained_cfg", "pretrained_cfg_overlay"}
    | {"checkpoint_path", "cache_dir"}
)
"""Builder options that make a library load or fetch files by itself: never taken from a file."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start:
    """What a model is built and filled from.

    Attributes:
        spec: Its registry entry.
        options: Builder options that the weights need.
        tensors: Weights by name; ``None`` = random.
        num_classes: Outputs of the weights' head; ``None`` for random weights or features.
        classes: Class names of the weights' head, where they are known.
        surgery: Changes that the weights' model has had.
        input: What the weights expect to see.
        record: What a checkpoint remembers of them.
        notes: What a person should know.
    """

    spec: ModelSpec
    options: dict[str, Any] = field(default_factory=dict)
    tensors: dict[str, Tensor] | None = None
    num_classes: int | None = None
    classes: tuple[str, ...] = ()
    surgery: SurgeryPart = field(default_factory=SurgeryPart)
    input: InputSpec = field(default_factory=InputSpec)
    record: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    @property
    def pretrained(self) -> bool:
        """Whether something has trained these weights."""
        return self.tensors is not None


def input_of(spec: ModelSpec) -> InputSpec:
    """The model's declared input, or the usual one (3, 224, 224) where it declares none."""
    return spec.input or InputSpec()


def from_info(
    info: CheckpointInfo,
    tensors: dict[str, Tensor] | None,
    registry: Registry,
    spec: ModelSpec | None,
    options: Mapping[str, Any],
    record: dict[str, Any],
) -> Start:
    """Start from what a zoo checkpoint says about itself.

    Raises:
        CheckpointError: It is of another model than was asked for.
        UnknownNameError: The plugin that has its model is not installed.
    """
    found = registry.model(info.model)
    if loading := LOADERS & set(info.options):
        raise CheckpointError(
            f"the checkpoint asks for {found.qualified} with {', '.join(sorted(loading))}, which "
            "would load something else",
            hint="do not trust this file",
        )
    if spec is not None and found.qualified != spec.qualified:
        raise CheckpointError(
            f"these weights are of {found.qualified}, not of {spec.qualified}",
            hint=f"zoo finetune {found.qualified} ..., or leave the model to the file: file:PATH",
        )
    return Start(
        spec=found,
        options={**info.options, **options},
        tensors=tensors,
        num_classes=info.num_classes,
        classes=info.classes,
        surgery=_surgery(info),
        input=info.input or input_of(found),
        record={key: value for key, value in record.items() if value},
    )


def _surgery(info: CheckpointInfo) -> SurgeryPart:
    try:
        part = msgspec.convert(info.surgery, SurgeryPart)
    except msgspec.ValidationError as error:
        raise CheckpointError(f"the checkpoint's surgery record is damaged: {error}") from error
    sizes = [*part.project, part.in_channels or 1]
    if not all(1 <= size <= MAX_CLASSES for size in sizes) or (part.in_channels or 1) > 1024:
        raise CheckpointError(f"the checkpoint's surgery record is damaged: sizes {sizes}")
    return replace(part, classes=None, reset_head=False)
