"""A recipe's parts tried out before anything is fetched: built with their options, on nothing.

An option that a loss or an optimizer does not take, a value that it refuses, a metric that gives
several numbers where one is to be watched: all of it is known from the recipe alone, so none of
it may wait until weights are downloaded or an epoch is over.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

import torch

from zoo.core.request import MEASURED
from zoo.core.resolve import resolve
from zoo.engine.assemble import build_loss, cache_wish, make_rules
from zoo.engine.classnames import build_metrics
from zoo.engine.optim import build_optimizer, build_schedule
from zoo.engine.place import Place
from zoo.engine.sizes import check_shrink, parse_train_size
from zoo.engine.transforms import batch_transforms, image_transform
from zoo.engine.tryout import first_line
from zoo.errors import UsageError

if TYPE_CHECKING:
    from torch import Tensor

    from zoo.core.protocols import Loss, Metric
    from zoo.core.recipe import Recipe
    from zoo.core.registry import Registry
    from zoo.core.specs import InputSpec, PartSpec

    Made = TypeVar("Made")

_REFUSALS = (ValueError, TypeError, AssertionError, RuntimeError, KeyError, IndexError)
_SOME = 3  # classes, where their number does not matter


def check_parts(recipe: Recipe, registry: Registry, shown: InputSpec) -> None:
    """Build every part that needs no model and no data, and let it go again.

    Args:
        recipe: A recipe whose names are known.
        registry: Where the parts are.
        shown: What the model will be shown.

    Raises:
        UsageError: A part does not take its options, the monitored metric is no number, or images
            would be reduced to less than is shown.
        PluginError: A part's module cannot be imported.
    """
    place = Place(device=torch.device("cpu"))
    make_rules(recipe, registry)
    cache_wish(recipe.data)
    parse_train_size(recipe.data.train_size)
    check_shrink(recipe.data.shrink, shown)
    _tried("loss", recipe.loss.name, lambda: build_loss(recipe, registry, place))
    _optimizer(recipe, registry)
    for train in (True, False):
        name = recipe.data.train_transform if train else recipe.data.eval_transform
        _tried(
            "transform",
            name,
            lambda train=train: image_transform(recipe, registry, shown, train=train),  # type: ignore[misc]
        )
    _by_classes(recipe, registry, shown, recipe.surgery.classes)
    for name in recipe.output.trackers:
        resolve(registry.find("tracker", name).target)


def deprecated_parts(recipe: Recipe, registry: Registry) -> tuple[str, ...]:
    """What should be used instead of parts of a recipe, one line each.

    Args:
        recipe: A checked recipe.
        registry: Where the parts are.
    """
    data, output = recipe.data, recipe.output
    chosen = {
        "loss": (recipe.loss.name,),
        "optimizer": (recipe.optim.name,),
        "scheduler": (recipe.optim.schedule,),
        "transform": (data.train_transform, data.eval_transform, *data.batch_transforms),
        "metric": output.metrics,
        "tracker": output.trackers,
    }
    used = {(kind, name) for kind, names in chosen.items() for name in names if name != "auto"}
    specs = [(kind, registry.find(kind, name)) for kind, name in sorted(used)]
    return tuple(
        f"{kind} {spec.qualified} is deprecated: {spec.deprecated}"
        for kind, spec in specs
        if spec.deprecated
    )


def check_with_classes(recipe: Recipe, registry: Registry, shown: InputSpec, classes: int) -> None:
    """Try the parts that depend on the number of classes, now that it is known.

    Class weights of another number, for example, are refused here and not in the first step.

    Args:
        recipe: A checked recipe.
        registry: Where the parts are.
        shown: What the model will be shown.
        classes: Number of classes of the data; 0 = it has none.

    Raises:
        UsageError: A metric or a batch transform refuses the number, or the loss does not make one
            number of outputs ``(2, K)`` and labels ``(2,)``, or of what batch transforms make of
            them.
    """
    if not classes:
        return
    _by_classes(recipe, registry, shown, classes)
    spec, labels = registry.find("loss", recipe.loss.name), torch.tensor([0, classes - 1])
    mixed = _mixed(recipe, registry, shown, labels, classes)
    if recipe.surgery.drop_last and not recipe.surgery.project:
        if mixed.ndim > 1:
            raise UsageError(
                f"{_transforms(recipe)} makes targets of {classes} classes, and without its last "
                "layer the model gives features",
                hint=f"--project {classes}, or leave --batch-transform out",
            )
        return
    if getattr(spec, "task", "") == "regression":
        return
    loss = build_loss(recipe, registry, Place(device=torch.device("cpu")))
    _on(loss, labels, spec, recipe, classes)
    if mixed.ndim > 1:
        _on(loss, mixed, spec, recipe, classes)


def _mixed(
    recipe: Recipe, registry: Registry, shown: InputSpec, labels: Tensor, classes: int
) -> Tensor:
    """What the recipe's batch transforms make of labels ``(2,)``: those, or rows ``(2, K)``."""
    images, found = torch.zeros(2, *shown.size), labels
    with suppress(*_REFUSALS), torch.random.fork_rng(devices=[]):
        for transform in batch_transforms(recipe, registry, shown, classes):
            images, found = transform(images, found)
    return found


def _transforms(recipe: Recipe) -> str:
    return " + ".join(recipe.data.batch_transforms)


def _on(loss: Loss, targets: Tensor, spec: PartSpec, recipe: Recipe, classes: int) -> None:
    """Try a loss on outputs ``(2, K)`` and targets ``(2,)`` or ``(2, K)``."""
    try:
        found: object = loss(torch.zeros(2, classes, requires_grad=True), targets)
    except _REFUSALS as error:
        what = f"{classes} classes"
        hint = "zoo list --kind loss"
        if targets.ndim > 1:
            what = f"what {_transforms(recipe)} makes of labels"
            hint = "--loss cross-entropy, or leave --batch-transform out"
        elif recipe.loss.options:
            hint = f"its options are {recipe.loss.options}; zoo info {spec.qualified} explains them"
        raise UsageError(
            f"loss {spec.qualified} does not work with {what}: {first_line(error)}", hint=hint
        ) from error
    if not isinstance(found, torch.Tensor) or found.numel() != 1 or not found.requires_grad:
        raise UsageError(
            f"loss {spec.qualified} gives {_called(found)} for a batch, not one number to "
            "differentiate",
            hint="let it return the mean over the batch, a tensor that hangs on the outputs",
        )


def _called(found: object) -> str:
    if not isinstance(found, torch.Tensor):
        return f"a {type(found).__name__}"
    if found.numel() != 1:
        return f"a tensor of shape {tuple(found.shape)}"
    return "a tensor without a gradient"


def _by_classes(recipe: Recipe, registry: Registry, shown: InputSpec, classes: int | None) -> None:
    """What is built for a number of classes. Unknown so far, it is not what a part is judged by."""
    count = classes or _SOME
    measured = recipe.output.metrics
    jobs: dict[tuple[str, str], Callable[[], object]] = {
        ("transform", _transforms(recipe)): lambda: batch_transforms(
            recipe, registry, shown, count
        ),
        ("metric", ", ".join(measured)): lambda: _one_number(
            recipe, build_metrics(measured, registry, count), count
        ),
    }
    for (kind, name), make in jobs.items():
        try:
            make()
        except _REFUSALS as error:
            if classes:
                raise _refusal(kind, name, error) from error


def _optimizer(recipe: Recipe, registry: Registry) -> None:
    """Over one small layer: a matrix and a vector, which is what optimizers tell apart."""
    layer = torch.nn.Linear(4, _SOME)
    part = recipe.optim
    group = {"name": "all", "params": list(layer.parameters())}
    groups = [{**group, "lr": part.lr, "weight_decay": part.weight_decay}]
    made = _tried("optimizer", part.name, lambda: build_optimizer(registry, part, groups))
    _tried(
        "scheduler",
        part.schedule,
        lambda: build_schedule(registry, part, made, steps_per_epoch=4),
    )


def _one_number(recipe: Recipe, built: Mapping[str, Metric], classes: int) -> None:
    """Refuse to watch a metric that gives several numbers."""
    monitor = recipe.output.monitor
    if monitor not in MEASURED and isinstance(_asked(built[monitor], classes), Mapping):
        raise UsageError(
            f"metric {monitor} gives several numbers, and one has to say which epoch is best",
            hint=f"--monitor {MEASURED[0]} --metric {monitor}, or monitor a metric of one number",
        )


def _asked(metric: Metric, classes: int) -> object:
    """What a metric gives for a few images that are all recognised; it may want others."""
    rows = min(classes, _SOME)
    with suppress(*_REFUSALS):
        metric.reset()
        metric.update(torch.eye(rows, classes), torch.arange(rows))
        return metric.compute()
    return None


def _tried(kind: str, name: str, make: Callable[[], Made]) -> Made:
    """Build a part; what it says against its options becomes a line."""
    try:
        return make()
    except _REFUSALS as error:
        raise _refusal(kind, name, error) from error


def _refusal(kind: str, name: str, error: Exception) -> UsageError:
    return UsageError(
        f"{kind} {name} refuses its options: {first_line(error)}",
        hint=f"zoo info {name} shows them" if name.isprintable() and " " not in name else "",
    )
