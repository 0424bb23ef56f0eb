"""From what a person typed to a checked, fully named recipe. No torch, no network, no data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zoo.core import compose, flags, names
from zoo.core.compose import VERB_DEFAULTS
from zoo.core.recipe import LossPart
from zoo.errors import PluginError, UnknownNameError, UsageError, ZooError

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from zoo.core.compose import Composed, Layer
    from zoo.core.recipe import Recipe
    from zoo.core.registry import Registry
    from zoo.core.specs import ModelSpec

WORDS = ("default", "none")
"""Values of ``--weights`` that are not tags."""

MEASURED = ("top1", "top5", "loss")
"""What every evaluation measures; ``--monitor`` may name it without ``--metric``."""

TEACHING = ("teacher_share", "temperature")
"""Fields of the loss that say how a teacher counts."""


def request(
    verb: str,
    model: str | None,
    values: Mapping[str, Any],
    *,
    registry: Registry,
    file: Path | None = None,
    sets: Iterable[str] | Mapping[str, Any] = (),
) -> Composed:
    """Compose the recipe of a run from all layers, and check every name in it.

    Args:
        verb: ``train`` or ``finetune``.
        model: Model reference, optionally with a weights tag; ``None`` if the file names it.
        values: Keywords of :mod:`zoo.core.flags`; ``None`` = not given.
        registry: Where names are looked up.
        file: Recipe file.
        sets: ``KEY=VALUE`` texts, or a mapping of dotted keys.

    Raises:
        UsageError: Anything that is wrong with it.
        UnknownNameError: A name that no plugin has.
        PluginError: A plugin's suggestion failed, or its run hooks do not load in a strict run.
    """
    if verb not in VERB_DEFAULTS:
        raise UsageError(
            f"{verb!r} is no verb that trains", hint=f"one of {', '.join(VERB_DEFAULTS)}"
        )
    stated, from_file = compose.read_recipe(file) if file else (None, {})
    if stated is not None and stated != verb:
        raise UsageError(
            f"{file} is a recipe for zoo {stated}", hint=f"zoo {stated} --recipe {file}"
        )
    typed = flags.layer(values)
    pairs = dict(sets) if isinstance(sets, Mapping) else compose.parse_sets(sets)
    reference = pairs.pop("model.name", None) or model or from_file.get("model.name")
    if not reference:
        raise UsageError(f"zoo {verb} needs a model", hint=f"zoo {verb} resnet18; zoo list")
    own, spec = _model(registry, str(reference), typed)
    layers: list[Layer] = [(f"suggested by {reference}", dict(spec.recipe) if spec else {})]
    layers += _from_plugins(registry, verb, spec) if spec else []
    layers += [
        (str(file or "recipe"), from_file),
        (flags.ORIGIN, {**own, **typed}),
        ("--set", pairs),
    ]
    composed = compose.compose(verb, layers)
    if composed.recipe.output.strict and registry.hook_errors:
        raise registry.hook_errors[0]
    if spec is not None:
        check_weights(spec, composed.recipe.model.weights)
    if composed.recipe.data.fold is not None:
        from zoo.core.folding import check_fold

        check_fold(composed)
    if composed.recipe.freeze.unfreeze_at:
        from zoo.core.unfreezing import check_unfreezing

        check_unfreezing(composed.recipe)
    if composed.recipe.freeze.lora is not None or composed.recipe.freeze.lora_alpha is not None:
        from zoo.core.adapting import check_adapters

        check_adapters(composed.recipe)
    check_teacher(composed.recipe)
    found = {**_shorter_warmup(composed), **_named(composed.recipe, registry, spec)}
    return compose.Composed(compose.changed(composed.recipe, found), composed.origin)


def check_teacher(recipe: Recipe) -> None:
    """Check that what was said of a teacher has one.

    Raises:
        UsageError: It has not.
    """
    part, usual = recipe.loss, LossPart()
    said = [name for name in TEACHING if getattr(part, name) != getattr(usual, name)]
    if said and part.teacher is None:
        flag = f"--{said[0].replace('_', '-')}"
        raise UsageError(f"{flag} is about a teacher, and there is none", hint="--teacher run:NAME")


def request_as_named(model: str, values: Mapping[str, Any], *, registry: Registry) -> Recipe:
    """The recipe of a model on its own: a name alone means random weights, nothing is fetched.

    Args:
        model: Model reference: ``resnet18``, ``resnet18:TAG``, ``run:NAME`` ...
        values: Keywords of :mod:`zoo.core.flags`; ``None`` = not given.
        registry: Where names are looked up.

    Raises:
        UsageError: A value is wrong.
        UnknownNameError: No plugin has the model.
    """
    parsed = names.parse(model)
    if values.get("weights") is None and not (parsed.source or parsed.weights):
        values = {**values, "weights": "none"}
    return request("finetune", model, values, registry=registry).recipe


def _shorter_warmup(composed: Composed) -> dict[str, Any]:
    """A verb's own warm-up takes no more than a fifth of the run; one that was asked for stays."""
    optim = composed.recipe.optim
    own = composed.origin.get("optim.warmup", "") == f"zoo {composed.recipe.verb}"
    return {"optim.warmup": min(optim.warmup, optim.epochs / 5)} if own else {}


def _from_plugins(registry: Registry, verb: str, model: ModelSpec) -> list[Layer]:
    """What plugins suggest, in pluggy's calling order; later ones win."""
    layers: list[Layer] = []
    for hook in reversed(registry.run_hooks().zoo_recipe_defaults.get_hookimpls()):
        arguments = {"verb": verb, "model": model}
        try:
            given: Any = hook.function(**{name: arguments[name] for name in hook.argnames})
            layers.append((f"plugin {hook.plugin_name}", dict(given or {})))
        except ZooError:
            raise
        except (Exception, SystemExit) as error:
            name = hook.plugin_name.removesuffix(".hooks")
            raise PluginError(
                f"plugin {name}: zoo_recipe_defaults failed: {type(error).__name__}: {error}",
                hint=f"zoo plugins disable {name}",
            ) from error
    return layers


def _model(
    registry: Registry, reference: str, typed: Mapping[str, Any]
) -> tuple[dict[str, Any], ModelSpec | None]:
    """The model's layer; the spec is ``None`` where a repository says what it is."""
    parsed = names.parse(reference)
    if parsed.source in ("hub", "file", "run"):
        if "model.weights" in typed:
            raise UsageError(f"{reference} already says which weights; leave --weights out")
        return {"model.name": reference, "model.weights": reference}, None
    if parsed.source:
        raise UsageError(f"{reference!r} does not name a model", hint="zoo list")
    spec = registry.model(parsed.qualified)
    own: dict[str, Any] = {"model.name": spec.qualified}
    if parsed.weights:
        if typed.get("model.weights", parsed.weights) != parsed.weights:
            raise UsageError(
                f"{reference} and --weights {typed['model.weights']} name different weights",
                hint="name them once",
            )
        own["model.weights"] = parsed.weights
    return own, spec


def check_weights(spec: ModelSpec, weights: str) -> None:
    """Check that a ``--weights`` value can mean something for this model.

    Raises:
        UsageError: A path without ``file:``.
        UnknownNameError: Neither a word, a source, nor a tag of the model.
    """
    if weights in WORDS or weights in {w.name for w in spec.weights}:
        return
    if names.parse(weights).source:
        return
    tags = [w.name for w in spec.weights]
    close = names.suggest(weights, tags)
    listed = ", ".join([*tags, *WORDS, "file:PATH", "hub:ORG/REPO", "run:NAME"])
    raise UnknownNameError(
        f"{spec.qualified} has no weights {weights!r}",
        hint=names.did_you_mean(close) or f"one of {listed}",
        suggestions=close,
    )


def _named(recipe: Recipe, registry: Registry, spec: ModelSpec | None) -> dict[str, Any]:
    """Qualify every part's name; an unknown one is an error now, not after the data is read."""
    found: dict[str, Any] = {}
    for key, kind, name in (
        ("loss.name", "loss", recipe.loss.name),
        ("optim.name", "optimizer", recipe.optim.name),
        ("optim.schedule", "scheduler", recipe.optim.schedule),
        ("data.train_transform", "transform", recipe.data.train_transform),
        ("data.eval_transform", "transform", recipe.data.eval_transform),
    ):
        if not (kind == "transform" and name == "auto"):
            found[key] = registry.find(kind, name).qualified
    for key, kind, listed in (
        ("data.batch_transforms", "transform", recipe.data.batch_transforms),
        ("output.trackers", "tracker", recipe.output.trackers),
        ("output.metrics", "metric", recipe.output.metrics),
    ):
        found[key] = [registry.find(kind, name).qualified for name in listed]
    for name in found["data.batch_transforms"]:
        if getattr(registry.find("transform", name), "stage", "batch") != "batch":
            raise UsageError(f"transform {name} is for single images", hint=f"--transform {name}")
    found |= _monitored(registry, recipe.output.monitor, found["output.metrics"])
    if spec is not None:
        found["model.name"] = spec.qualified
        _check_options(spec, recipe)
    return found


def _monitored(registry: Registry, monitor: str, metrics: list[str]) -> dict[str, Any]:
    """The monitored metric by its qualified name; it is measured even if nobody listed it."""
    if monitor in MEASURED:
        return {}
    try:
        name = registry.find("metric", monitor).qualified
    except UnknownNameError as error:
        close = names.suggest(monitor, (*MEASURED, *registry.shelf("metric")))
        raise UnknownNameError(
            f"nothing called {monitor!r} can be monitored",
            hint=names.did_you_mean(close)
            or f"one of {', '.join(MEASURED)}, or a name of zoo list --kind metric",
            suggestions=close,
        ) from error
    return {"output.monitor": name, "output.metrics": list(dict.fromkeys([*metrics, name]))}


def _check_options(spec: ModelSpec, recipe: Recipe) -> None:
    if spec.deprecated:
        raise UsageError(f"{spec.qualified} is deprecated", hint=spec.deprecated)
    for name in recipe.model.options:
        if spec.options and name not in spec.options:
            close = names.did_you_mean(names.suggest(name, spec.options))
            raise UsageError(
                f"{spec.qualified} has no option {name!r}",
                hint=close or f"it has {', '.join(spec.options)}",
            )
