"""What decides the images that a frozen part is shown, and what it computes, besides its numbers.

Kept outputs are only those of a run if these texts are the same: the data set, the transforms and
their options, and the code of all of them: a plugin's version, and a digest of the source where
it is not zoo's or torch's, since somebody may be working on it.
"""

from __future__ import annotations

import contextlib
import hashlib
import inspect
import sys
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zoo.core.resolve import resolve
from zoo.engine.transforms import auto_transform
from zoo.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import nn

    from zoo.core.recipe import Recipe
    from zoo.core.registry import Registry
    from zoo.core.specs import InputSpec, PartSpec
    from zoo.data.images import Splits
    from zoo.engine.parts import Built

_DRAWN: Final = "evenly"
"""How epochs draw what a transform does to an image; another word = other views."""
_RELEASED: Final = frozenset({"builtins", "functools", "torch", "torchvision", "zoo"})
"""Packages whose version says enough."""


def identity_of(
    recipe: Recipe, registry: Registry, built: Built, seen: InputSpec, splits: Splits
) -> dict[str, str]:
    """Texts that change whenever the images, their transforms, or code behind them do.

    Args:
        recipe: A checked recipe.
        registry: Where parts are.
        built: The model.
        seen: What training shows it.
        splits: The images.

    Returns:
        ``train`` and ``val`` -> text.
    """
    data = recipe.data
    shared = f"{splits.fingerprint} {data.val_fraction} {recipe.device.seed} {built.input}"
    shared += f" fold {data.fold}" if data.fold else ""
    shared += f" shrunk to {data.shrink}" if data.shrink else ""
    shared += f" {version_of('torchvision')} {version_of('pillow')}"
    shared += f" {code_of(built.spec, registry)} {code_of_layers(built.model)}"
    named = registry.shelf("dataset").get(splits.name)
    shared += f" {code_of(named, registry)}" if named is not None else ""
    texts = {}
    for part, shown, name, options in (
        ("train", seen, data.train_transform, data.train_options),
        ("val", built.input, data.eval_transform, data.eval_options),
    ):
        chosen = auto_transform(shown, train=part == "train") if name == "auto" else name
        code = code_of(registry.find("transform", chosen), registry)
        count = len(splits.train if part == "train" else splits.val)
        texts[part] = f"{shared} {shown.size} {count} {options} {code}"
    texts["train"] += f" drawn {_DRAWN}"
    return texts


def code_of(spec: PartSpec, registry: Registry) -> str:
    """Which code a part is: its plugin's version, what it builds, and a digest of the source.

    Args:
        spec: The part's entry.
        registry: Where plugins are.
    """
    info = next((plugin for plugin in registry.plugins if plugin.name == spec.plugin), None)
    release = f"{info.distribution}=={info.version}" if info is not None else ""
    modules = {spec.target.partition(":")[0]}
    with contextlib.suppress(PluginError, ValueError):
        modules.add(str(getattr(inspect.unwrap(resolve(spec.target)), "__module__", "")))  # type: ignore[arg-type]
    options = sorted(spec.options.items(), key=str)
    return f"{spec.qualified} {release} {spec.target} {options} {_digest(modules)}"


def code_of_layers(model: nn.Module) -> str:
    """Which code a model's layers are: versions of their packages, and a digest of the sources.

    Args:
        model: The model.
    """
    modules = {type(module).__module__ for module in model.modules()}
    packages = sorted({_package(module) for module in modules} - _RELEASED)
    return f"{[(name, version_of(name)) for name in packages]} {_digest(modules)}"


def version_of(package: str) -> str:
    """The version of a package, if a distribution of its name has it."""
    try:
        return metadata.version(package)
    except (metadata.PackageNotFoundError, ValueError):
        return ""


def _package(module: str) -> str:
    return module.partition(".")[0]


def _digest(modules: Iterable[str]) -> str:
    """A digest of the sources of modules, as far as they can be read."""
    found = hashlib.blake2b(digest_size=16)
    for name in sorted(modules):
        path = getattr(sys.modules.get(name), "__file__", None)
        if _package(name) in _RELEASED or path is None:
            continue
        try:
            source = Path(path).read_bytes()
        except OSError:
            continue
        found.update(f"{name} {len(source)}\n".encode() + source)
    return found.hexdigest()
