"""File to label, end to end: an artefact by itself against zoo.

The artefact's side follows only what is stored inside the artefact (labels, preprocessing steps),
as somebody without zoo would. So a wrong crop, mean or label order shows here, which comparing
outputs on random tensors cannot show.
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
from zoo.core.resolve import resolve
from zoo.errors import CheckpointError, UsageError, VerificationError
from zoo.export.formats import Readable
from zoo.export.preprocess import Step, apply

if TYPE_CHECKING:
    from collections.abc import Sequence

    from torch import nn

    from zoo.core.specs import ExporterSpec


@dataclass(frozen=True, slots=True)
class Prediction:
    """What one image was taken for.

    Attributes:
        path: The image file.
        label: Name of the class with the largest output.
        outputs: Raw outputs (K,).
    """

    path: Path
    label: str
    outputs: Tensor


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

    def predict(self, image: Path) -> Prediction:
        """Classify one image file by what the artefact says alone.

        Raises:
            DataError: The file is not an image.
        """
        with torch.inference_mode():
            outputs = self.run(apply(self.steps, image))[0]
        best = int(outputs.argmax())
        label = self.labels[best] if best < len(self.labels) else str(best)
        return Prediction(image, label, outputs)


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often the artefact and zoo give the same label.

    Attributes:
        images: Number of images.
        same: Number of equal labels.
        max_diff: Largest absolute difference of an output.
        different: File, zoo's label and the artefact's label where they differ.
    """

    images: int
    same: int
    max_diff: float
    different: tuple[tuple[str, str, str], ...]

    @property
    def share(self) -> float:
        """Share of equal labels, 0 to 1."""
        return self.same / self.images

    def line(self) -> str:
        """The agreement in one line."""
        return (
            f"{self.same} of {self.images} images get the same label from file to label "
            f"(max |diff| {self.max_diff:.1e})"
        )


def read_file(path: Path, *, model: nn.Module | None = None) -> Artefact:
    """Open an exported file; the format is told by its suffix.

    Args:
        path: The file.
        model: The architecture, for formats that hold weights alone.

    Raises:
        UsageError: No exporter has this suffix, or the format needs ``model``.
        CheckpointError: The file does not say how its input is made.
    """
    exporter, spec = _reader(path)
    if model is None and spec.name == "safetensors":
        raise UsageError(f"{path.name} holds weights alone", hint="give the model as well")
    stored = exporter.metadata(path)
    if "preprocess" not in stored:
        raise CheckpointError(f"{path} does not say how its input is made from an image")
    return Artefact(
        path,
        tuple(json.loads(stored.get("labels", "[]"))),
        tuple(json.loads(stored["preprocess"])),
        exporter.load(path, model),
    )


def _reader(path: Path) -> tuple[Any, ExporterSpec]:
    shelf = cast("dict[str, ExporterSpec]", registry.load().shelf("exporter"))
    for spec in shelf.values():
        if spec.suffix == path.suffix:
            exporter = resolve(spec.target)
            if isinstance(exporter, Readable) and hasattr(exporter, "metadata"):
                return exporter, spec
    known = ", ".join(sorted({spec.suffix for spec in shelf.values() if spec.suffix}))
    raise UsageError(f"no format reads {path.suffix or path.name!r} files", hint=f"known: {known}")


def agreement(
    expected: Callable[[Path], Prediction],
    artefact: Artefact,
    images: Sequence[Path],
    *,
    at_least: float = 1.0,
) -> Agreement:
    """Classify images both ways and compare.

    Args:
        expected: zoo's own way from an image file to a prediction.
        artefact: The file under test.
        images: Image files.
        at_least: Share of equal labels below which it is an error.

    Raises:
        UsageError: There are no images.
        VerificationError: Fewer labels agree than asked for.
    """
    if not images:
        raise UsageError("no images to compare on", hint="--data FOLDER")
    same, max_diff, different = 0, 0.0, []
    for path in images:
        ours, theirs = expected(path), artefact.predict(path)
        max_diff = max(max_diff, (ours.outputs - theirs.outputs).abs().max().item())
        same += ours.label == theirs.label
        if ours.label != theirs.label:
            different.append((str(path), ours.label, theirs.label))
    found = Agreement(len(images), same, max_diff, tuple(different))
    if found.share < at_least:
        file, ours_label, theirs_label = different[0]
        raise VerificationError(
            f"{artefact.path.name}: only {found.line()}; first: {file} is {ours_label} for zoo "
            f"and {theirs_label} for the file"
        )
    return found
