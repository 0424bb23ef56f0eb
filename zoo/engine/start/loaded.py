"""A trained model as people use it: the network, and everything the checkpoint knows about it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from torch import nn

from zoo.core.metadata import CheckpointInfo
from zoo.core.specs import InputSpec


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model with what its checkpoint says.

    Attributes:
        model: In eval mode, on the CPU, fp32.
        info: Names of the classes, recipe, metrics, origin.
        path: The file that it came from.
        own: Whether that file is the user's, rather than one in a download cache.
    """

    model: nn.Module
    info: CheckpointInfo
    path: Path
    own: bool = True

    @property
    def classes(self) -> tuple[str, ...]:
        """Class names in the order of the outputs."""
        return self.info.classes

    @property
    def input(self) -> InputSpec:
        """What the model expects to see."""
        return self.info.input or InputSpec()
