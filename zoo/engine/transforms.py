"""Which transforms a run uses: the recipe's, or what ``auto`` means for an input."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from zoo.errors import UsageError

if TYPE_CHECKING:
    from zoo.core.recipe import Recipe
    from zoo.core.registry import Registry
    from zoo.core.specs import InputSpec

SMALL = 64
"""Inputs smaller than this (pixels) are drawings and digits more often than photographs."""

EVALUATION: Final = {"center": "center-crop", "squash": "squash", "border": "letterbox"}
"""Crop mode that an input states -> the transform that does it."""


def auto_transform(shown: InputSpec, *, train: bool) -> str:
    """What ``auto`` means: random crops and flips for photographs, small shifts for tiny images.

    Evaluation shows images as the weights' publisher did.

    Args:
        shown: What the model expects to see.
        train: For training, or for evaluation.
    """
    if not train:
        return EVALUATION[shown.crop_mode]
    return "standard" if min(shown.size[1:]) >= SMALL else "shift"


def image_transform(recipe: Recipe, registry: Registry, shown: InputSpec, *, train: bool) -> Any:
    """Build the transform of single images: uint8 ``(C, H, W)`` to uint8 of the input's size.

    Args:
        recipe: A checked recipe.
        registry: Where transforms are.
        shown: What the model expects to see.
        train: For training, or for evaluation.

    Raises:
        UsageError: It does not take one of the options.
    """
    name = recipe.data.train_transform if train else recipe.data.eval_transform
    options = recipe.data.train_options if train else recipe.data.eval_options
    chosen = auto_transform(shown, train=train) if name == "auto" else name
    return registry.build("transform", chosen, shown, **options)


def batch_transforms(
    recipe: Recipe, registry: Registry, shown: InputSpec, classes: int
) -> tuple[Any, ...]:
    """Build the transforms of whole batches (mixup, cutmix).

    Raises:
        UsageError: A transform is not for batches, or does not take an option.
    """
    built = []
    for name in recipe.data.batch_transforms:
        stage = getattr(registry.find("transform", name), "stage", "")
        if stage != "batch":
            raise UsageError(f"transform {name} is for single images", hint=f"--transform {name}")
        built.append(registry.build("transform", name, shown, classes=classes))
    return tuple(built)
