"""What a model is shown in training: the size that was asked for, or the one that suits."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.engine.parts import is_convolutional
from zoo.engine.sizes import auto_train_size, fit_input, parse_train_size, size_option
from zoo.engine.transforms import image_transform
from zoo.engine.tryout import takes, try_out

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import nn

    from zoo.core.recipe import Recipe
    from zoo.core.registry import Registry
    from zoo.core.specs import InputSpec
    from zoo.engine.parts import Built


def training_input(
    recipe: Recipe,
    registry: Registry,
    built: Built,
    hold: Callable[[nn.Module], object] = lambda _model: None,
) -> InputSpec:
    """What training shows the model, (C, H, W).

    Without ``data.train_size`` it is what evaluation shows. ``auto`` is less where the training
    transform shows things larger (:func:`zoo.engine.sizes.auto_train_size`) and the model is a
    convolutional network that takes such images.

    Args:
        recipe: A checked recipe.
        registry: Where transforms are.
        built: The model and what evaluation shows it.
        hold: Puts the frozen part in eval mode.

    Raises:
        UsageError: The model does not take images of the size that was asked for.
    """
    shown, count = built.input, recipe.data.batch_size
    asked = parse_train_size(recipe.data.train_size)
    if asked == 0:
        return shown
    if asked is not None:
        made = fit_input(shown, asked, None)
        try_out(built.model, made, name=built.spec.qualified, batch_size=count, hold=hold)
        return made
    transform = image_transform(recipe, registry, shown, train=True)
    size = auto_train_size(shown, getattr(transform, "magnifies", None))
    if size == shown.size[1] or size_option(built.spec) or not is_convolutional(built.model):
        return shown
    made = fit_input(shown, size, None)
    return made if takes(built.model, made, batch_size=count, hold=hold) else shown


def size_line(seen: InputSpec, shown: InputSpec, *, auto: bool) -> str:
    """What the plan says about it; empty where nothing was asked for.

    Args:
        seen: What training shows.
        shown: What evaluation shows.
        auto: Whether zoo was to choose.
    """
    small, large = (" x ".join(map(str, spec.size[1:])) for spec in (seen, shown))
    if seen.size == shown.size:
        return (
            f"{large}, in training too: nothing smaller suits transform and model" if auto else ""
        )
    return f"{small} in training, {large} in evaluation"
