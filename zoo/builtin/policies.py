"""What may happen to an image once it is cut out: a policy of torchvision's, and an erasure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.plugin import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor


def after_it(policy: str, magnitude: int, erase: float) -> Callable[[Tensor], Tensor] | None:
    """What else happens to an image; torchvision is imported for nothing less.

    Args:
        policy: ``none``, ``randaugment``, ``trivialaugment``, ``autoaugment`` or ``augmix``.
        magnitude: Strength of ``randaugment``, 0 to 30.
        erase: Probability of erasing a rectangle.

    Returns:
        uint8 ``(C, H, W)`` to uint8 ``(C, H, W)``, which draws from torch's generator; ``None`` if
        nothing is asked for.

    Raises:
        UsageError: An option is out of range.
    """
    if policy == "none" and not probability("erase", erase):
        return None
    from torchvision.transforms import v2

    steps: list[Any] = []
    bilinear = v2.InterpolationMode.BILINEAR
    if policy == "randaugment":
        steps.append(v2.RandAugment(magnitude=magnitude, interpolation=bilinear))
    elif policy == "trivialaugment":
        steps.append(v2.TrivialAugmentWide(interpolation=bilinear))
    elif policy == "autoaugment":
        steps.append(v2.AutoAugment(interpolation=bilinear))
    elif policy == "augmix":
        steps.append(v2.AugMix(interpolation=bilinear))
    elif policy != "none":
        raise UsageError(
            f"policy {policy!r} is unknown",
            hint="none, randaugment, trivialaugment, autoaugment or augmix",
        )
    if probability("erase", erase):
        steps.append(v2.RandomErasing(p=erase))
    whole: Callable[[Tensor], Tensor] = steps[0] if len(steps) == 1 else v2.Compose(steps)
    return whole


def probability(name: str, value: float) -> float:
    """Give an option that has to be from 0 to 1.

    Raises:
        UsageError: It is not.
    """
    if not 0 <= value <= 1:
        raise UsageError(f"{name} must be from 0 to 1, not {value}")
    return value
