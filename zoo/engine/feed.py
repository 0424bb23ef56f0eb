"""From a batch of bytes to what the model sees: moved, cast and normalised on the device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import torch

from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from torch import Tensor

    from zoo.core.protocols import BatchTransform
    from zoo.core.specs import InputSpec
    from zoo.engine.place import Place


class Feed:
    """Prepares batches, once per batch instead of once per image.

    Args:
        place: Where the model computes.
        input: Mean and standard deviation by channel; empty ones leave values at 0..1.
        batch_transforms: Mixup and the like, applied in training only, after normalising.
        sizes: Heights and widths that the model is shown, ``(H, W)``; empty = any.
    """

    def __init__(
        self,
        place: Place,
        input: InputSpec | None = None,  # noqa: A002 - the recipe's word
        batch_transforms: Sequence[BatchTransform] = (),
        *,
        sizes: Iterable[Sequence[int]] = (),
    ) -> None:
        self.place = place
        self._sizes = tuple(dict.fromkeys(map(tuple, sizes)))
        self.batch_transforms = tuple(batch_transforms)
        mean, std = (input.mean, input.std) if input else ((), ())
        if std and min(std) <= 0:
            raise UsageError(f"standard deviations must be above 0, got {std}")
        self._shift = _channels([-m / s for m, s in zip(mean, std, strict=True)], place)
        self._scale = _channels([1 / s for s in std], place)

    def __call__(self, batch: Any, *, train: bool) -> tuple[Tensor, Tensor]:
        """Prepare one batch.

        Args:
            batch: ``images`` uint8 or floating ``(N, C, H, W)`` and ``labels`` ``(N, ...)``.
            train: Whether to apply the batch transforms.

        Returns:
            Images fp32 ``(N, C, H, W)`` and targets ``(N,)`` or soft ``(N, K)``, on the device.
        """
        device = self.place.device
        images = self.images(batch.images)
        targets = batch.labels.to(device, non_blocking=True)
        if train:
            for transform in self.batch_transforms:
                images, targets = transform(images, targets)
        return images, targets

    def images(self, images: Tensor) -> Tensor:
        """Move, cast and normalise images ``(N, C, H, W)``; bytes become 0..1 first.

        Raises:
            UsageError: A transform gave another size than the model is shown.
        """
        if self._sizes and tuple(images.shape[-2:]) not in self._sizes:
            found, *shown = (f"{h} x {w}" for h, w in (images.shape[-2:], *self._sizes))
            raise UsageError(
                f"a transform gives images of {found}, and the model is shown {' or '.join(shown)}",
                hint="a transform's target is given the size as input.size; --size N changes it",
            )
        unit = 1 / 255 if images.dtype == torch.uint8 else 1.0
        layout = torch.preserve_format
        if self.place.channels_last and images.ndim == 4:
            layout = torch.channels_last
        ready = images.to(self.place.device, non_blocking=True)
        ready = ready.to(torch.float32, memory_format=layout, copy=True)
        if self._scale is None or self._shift is None:
            return ready.mul_(unit) if unit != 1.0 else ready
        if layout is torch.channels_last and ready.device.type == "cpu":
            self._normalise_rows(ready, unit)
            return ready
        return ready.mul_(self._scale * unit).add_(self._shift)

    def _normalise_rows(self, ready: Tensor, unit: float) -> None:
        """Normalise channels_last images ``(N, C, H, W)`` in place, a row of pixels at a time.

        A processor takes many numbers at once where they lie side by side, not the three of a pixel.
        """
        assert self._scale is not None
        assert self._shift is not None
        _, channels, _, wide = ready.shape
        scale, shift = (
            numbers.view(-1).expand(channels).repeat(wide)
            for numbers in (self._scale * unit, self._shift)
        )
        ready.permute(0, 2, 3, 1).view(-1, wide * channels).mul_(scale).add_(shift)


def _channels(values: list[float], place: Place) -> Tensor | None:
    if not values:
        return None
    return torch.tensor(values, dtype=torch.float32, device=place.device).view(1, -1, 1, 1)
