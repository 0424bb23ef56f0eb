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
    from zoo.engine.freezing.plan import FreezePlan
    from zoo.engine.parts import Built


def training_input(
    recipe: Recipe,
    registry: Registry,
    built: Built,
    hold: Callable[[nn.Module], object] = lambda _model: None,
    *,
    partly: bool = True,
) -> InputSpec:
    """What training shows the model, (C, H, W).

    ``same`` is what evaluation shows. ``auto`` is less where a part stays frozen for the whole
    run and convolutions behind it train, the training transform shows things larger
    (:func:`zoo.engine.sizes.auto_train_size`), and the model takes such images. (A head alone
    cannot get used to them: it lost accuracy, docs/explanation/views.md.)

    Args:
        recipe: A checked recipe.
        registry: Where transforms are.
        built: The model and what evaluation shows it.
        hold: Puts the frozen part in eval mode.
        partly: Whether a part stays frozen for the whole run and convolutions train.

    Raises:
        UsageError: The model does not take images of the size that was asked for.
    """
    shown, count = built.input, recipe.data.batch_size
    asked = parse_train_size(recipe.data.train_size)
    if asked == 0 or (asked is None and not partly):
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


def trains_partly(model: nn.Module, plan: FreezePlan) -> bool:
    """Whether a part stays frozen for the whole run and convolutions behind it train."""
    trained = set(plan.ever_trainable)
    convolutions = any(p.ndim > 2 for n, p in model.named_parameters() if n in trained)
    return bool(plan.ever_frozen) and convolutions


def size_line(seen: InputSpec, shown: InputSpec, *, auto: bool) -> str:
    """What the plan says about it; empty where training shows what evaluation shows.

    Args:
        seen: What training shows.
        shown: What evaluation shows.
        auto: Whether zoo chose.
    """
    if seen.size == shown.size:
        return ""
    small, large = (" x ".join(map(str, spec.size[1:])) for spec in (seen, shown))
    other = "; --train-size same for one size" if auto else ""
    return f"{small} in training, {large} in evaluation{other}"
