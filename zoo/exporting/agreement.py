"""How often two ways from an image file to a label give the same label."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from torch import Tensor

from zoo.errors import UsageError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


@dataclass(frozen=True, slots=True)
class Reading:
    """What one image was taken for.

    Attributes:
        label: Name of the class with the largest output.
        outputs: Raw outputs (K,).
    """

    label: str
    outputs: Tensor


@dataclass(frozen=True, slots=True)
class Agreement:
    """How often an artefact and zoo give the same label.

    Attributes:
        images: Number of images.
        same: Number of equal labels.
        max_diff: Largest absolute difference of an output.
        different: File, zoo's label and the artefact's label where they differ.
    """

    images: int
    same: int
    max_diff: float
    different: tuple[tuple[str, str, str], ...] = ()

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


def agree(
    ours: Callable[[Path], Reading],
    theirs: Callable[[Path], Reading],
    images: Sequence[Path],
    *,
    name: str,
    at_least: float = 1.0,
) -> Agreement:
    """Classify images both ways and compare.

    Args:
        ours: zoo's own way from an image file to a label.
        theirs: The artefact's.
        images: Image files.
        name: What the artefact is called in messages.
        at_least: Share of equal labels below which it is an error.

    Raises:
        UsageError: There are no images.
        VerificationError: Fewer labels agree than asked for.
    """
    if not images:
        raise UsageError("no images to compare on", hint="--check 0 compares no images")
    max_diff = 0.0
    different: list[tuple[str, str, str]] = []
    for path in images:
        one, other = ours(path), theirs(path)
        max_diff = max(max_diff, (one.outputs - other.outputs).abs().max().item())
        if one.label != other.label:
            different.append((str(path), one.label, other.label))
    found = Agreement(len(images), len(images) - len(different), max_diff, tuple(different))
    if found.share < at_least:
        file, label, other_label = different[0]
        raise VerificationError(
            f"{name}: only {found.line()}; first: {Path(file).name} is {label} for zoo and "
            f"{other_label} for the file"
        )
    return found
