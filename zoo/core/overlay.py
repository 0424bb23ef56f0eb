"""Laying an overlay over the catalogue: new parts, and weights and recipes for models that exist.

An overlay outlives the plugins of whoever reads it: what it adds to a plugin that is not loaded
here waits for it, and is an error only for those who ask for that model.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from zoo.core import manifest, names
from zoo.core.specs import InputSpec, ModelSpec, PartSpec, WeightsSpec
from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Container, Mapping

    from zoo.core.manifest import Manifest

_BUILTIN = "zoo"
_KEYS = {"kind", "name", "weights", "recipe"}


@dataclass(frozen=True, slots=True)
class Waiting:
    """An entry of an overlay whose plugin is not loaded here.

    Attributes:
        name: The model that it adds to, as in ``plugin/name``.
        path: The overlay's file.
    """

    name: str
    path: str

    @property
    def plugin(self) -> str:
        """The plugin that it waits for."""
        return self.name.partition("/")[0]


def lay_over(
    shelves: Mapping[str, dict[str, PartSpec]], overlay: Manifest, loaded: Container[str]
) -> list[Waiting]:
    """Put an overlay's parts on the shelves and its patches onto the models that are there.

    Args:
        shelves: Kind -> qualified name -> part; changed.
        overlay: What its file says.
        loaded: Names of the plugins that are loaded.

    Returns:
        The entries that add to a plugin that is not loaded.

    Raises:
        UsageError: A part exists already, or an entry adds something else than weights and a
            recipe, or adds to a model that does not exist.
    """
    waiting: list[Waiting] = []
    for kind, specs in overlay.parts.items():
        for spec in specs:
            if spec.name in shelves[kind]:
                raise UsageError(
                    f"{overlay.path}: {kind} {spec.name!r} exists already",
                    hint="leave out its target to add weights or a recipe to the existing one",
                )
            shelves[kind][spec.name] = replace(spec, plugin=_BUILTIN)
    for patch in overlay.patches:
        kind, name = patch["kind"], str(patch.get("name"))
        model = shelves[kind].get(name)
        plugin, slash, _ = name.partition("/")
        fits = kind == "model" and not set(patch) - _KEYS
        if fits and model is None and slash and plugin not in loaded:
            waiting.append(Waiting(name, overlay.path))
            continue
        if not (fits and isinstance(model, ModelSpec)):
            close = names.did_you_mean(names.suggest(name, shelves[kind])) if not model else ""
            raise UsageError(
                f"{overlay.path}: {kind} {name!r}: an entry without target may only add weights "
                "and a recipe to a model that exists",
                hint=close,
            )
        shelves[kind][name] = _patched(model, patch, overlay.path, name)
    return waiting


def _patched(model: ModelSpec, patch: Mapping[str, Any], where: str, name: str) -> ModelSpec:
    recipe = patch.get("recipe", {})
    if not isinstance(recipe, dict):
        raise UsageError(f"{where}: model {name!r}: recipe must be a table")
    return replace(
        model,
        weights=_merge_weights(model.weights, patch.get("weights", ()), where, name),
        recipe={**model.recipe, **recipe},
    )


def _merge_weights(
    old: tuple[WeightsSpec, ...], entries: Any, where: str, label: str
) -> tuple[WeightsSpec, ...]:
    """Entries of the same name change single fields; new names come first (the new default)."""
    merged = {w.name: w for w in old}
    fresh: list[str] = []
    if not (isinstance(entries, list | tuple) and all(isinstance(e, dict) for e in entries)):
        raise UsageError(f"{where}: model {label!r}: weights must be a list of tables")
    for entry in entries:
        base = next((_plain(w) for name, w in merged.items() if name == entry.get("name")), {})
        (made,) = manifest.weights([{**base, **entry}], where, f"model {label!r}")
        if made.name not in merged:
            fresh.append(made.name)
        merged[made.name] = made
    ordered = [*fresh, *(name for name in merged if name not in fresh)]
    return tuple(merged[name] for name in ordered)


def _plain(spec: WeightsSpec) -> dict[str, Any]:
    table = asdict(spec)
    if isinstance(spec.input, InputSpec):
        table["input"] = asdict(spec.input)
    return table
