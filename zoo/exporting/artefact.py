"""An exported file by itself: opened with its own runtime, used by what it says alone.

Nothing of the run that it came from is looked at, as somebody without zoo would. So a wrong crop,
mean or label order shows when it is compared with zoo, which comparing outputs on random tensors
cannot show.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import torch
from torch import Tensor

from zoo.core import registry
from zoo.core.resolve import target_of
from zoo.errors import CheckpointError, UsageError
from zoo.exporting.agreement import Reading
from zoo.exporting.preprocess import Step, apply

if TYPE_CHECKING:
    from torch import nn

    from zoo.core.specs import ExporterSpec


@dataclass(frozen=True, slots=True)
class Artefact:
    """An exported file, opened with its own runtime.

    Attributes:
        path: The file.
        labels: Class names in the order of the outputs; empty if it carries none.
        steps: How its input is made from an image file.
        run: Images (N, C, H, W), float, to outputs (N, K).
    """

    path: Path
    labels: tuple[str, ...]
    steps: tuple[Step, ...]
    run: Callable[[Tensor], Tensor]

    def read(self, image: Path) -> Reading:
        """Classify one image file.

        Raises:
            DataError: The file is not an image.
        """
        with torch.inference_mode():
            outputs = self.run(apply(self.steps, image))[0]
        best = int(outputs.argmax())
        return Reading(self.labels[best] if best < len(self.labels) else str(best), outputs)


def open_artefact(
    path: Path,
    *,
    model: nn.Module | None = None,
    format: str | None = None,  # noqa: A002
) -> Artefact:
    """Open an exported file.

    Args:
        path: The file.
        model: The architecture, for formats that hold weights alone.
        format: Exporter by name; default: the one with the file's suffix.

    Raises:
        UsageError: No exporter reads this, or the format needs ``model``.
        CheckpointError: The file does not say how its input is made.
    """
    exporter, spec = _reader(path, format)
    if model is None and spec.name == "safetensors":
        raise UsageError(f"{path.name} holds weights alone", hint="give the model as well")
    stored = exporter.metadata(path)
    if "preprocess" not in stored:
        raise CheckpointError(f"{path} does not say how its input is made from an image")
    try:
        labels = tuple(map(str, json.loads(stored.get("labels", "[]"))))
        preprocess = tuple(json.loads(stored["preprocess"]))
    except (ValueError, TypeError, RecursionError) as error:
        raise CheckpointError(f"what {path} says of itself is damaged: {error}") from error
    return Artefact(path, labels, preprocess, exporter.load(path, model))


def _reader(path: Path, name: str | None) -> tuple[Any, ExporterSpec]:
    shelf = cast("dict[str, ExporterSpec]", registry.load().shelf("exporter"))
    silent = ""
    for spec in shelf.values():
        if spec.qualified == name or (name is None and spec.suffix == path.suffix):
            exporter = target_of(spec)
            if hasattr(exporter, "load") and hasattr(exporter, "metadata"):
                return exporter, spec
            silent = spec.qualified if hasattr(exporter, "load") else silent
    if silent:
        raise UsageError(
            f"{silent} reads its files, but not what they say of their input and labels",
            hint="its exporter needs metadata(path) -> dict[str, str]",
        )
    known = ", ".join(sorted({spec.suffix for spec in shelf.values() if spec.suffix}))
    raise UsageError(f"no format reads {path.suffix or path.name!r} files", hint=f"known: {known}")
