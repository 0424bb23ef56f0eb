"""What zoo calls on the objects that targets give: structural types, nothing to inherit from."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor


class Loss(Protocol):
    """A loss: ``outputs (N, K)`` or ``(N, D)`` and targets to a scalar ``()``."""

    def __call__(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Give the scalar loss, mean over the batch."""
        ...


class Augmentation(Protocol):
    """A transform of one image: uint8 ``(C, H, W)`` to uint8 ``(C, H, W)``.

    Randomness comes from torch's global generator, which zoo seeds per image and epoch.
    """

    def __call__(self, image: Tensor) -> Tensor:
        """Give the transformed image."""
        ...


class BatchTransform(Protocol):
    """A transform of a whole batch: images ``(N, C, H, W)`` and labels ``(N,)``."""

    def __call__(self, images: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Give images ``(N, C, H, W)`` and soft targets ``(N, K)``."""
        ...


@runtime_checkable
class Metric(Protocol):
    """A metric that is fed batch by batch."""

    def update(self, outputs: Tensor, targets: Tensor) -> None:
        """Take one batch: outputs ``(N, K)``, targets ``(N,)``."""
        ...

    def compute(self) -> float | Mapping[str, float]:
        """Give the value over everything seen since the last reset."""
        ...

    def reset(self) -> None:
        """Forget everything seen."""
        ...


@runtime_checkable
class Tracker(Protocol):
    """An experiment tracker.

    It may also have a text ``where``, one line about where the run is seen, and a method
    ``ended(result)``, told before ``close`` how the run ended: its RunResult, or the error.
    """

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Log numbers at an optimizer step."""
        ...

    def image(self, name: str, image: Tensor, step: int) -> None:
        """Log an image, uint8 ``(C, H, W)``."""
        ...

    def graph(self, model: Any, example: Tensor) -> None:
        """Log the model's graph for an example input ``(N, C, H, W)``."""
        ...

    def close(self) -> None:
        """Flush and finish."""
        ...
