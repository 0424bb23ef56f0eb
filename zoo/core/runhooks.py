"""Importing the hook modules that manifests name, so that a broken one breaks only itself."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.core import plugins, settings
from zoo.core.hookspecs import RUN_HOOKS
from zoo.core.resolve import import_module
from zoo.errors import PluginError, ZooError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pluggy

    from zoo.core.manifest import Manifest


@dataclass(frozen=True, slots=True)
class Gathered:
    """What became of one hook module.

    Attributes:
        plugin: Whose it is.
        hooks: Run hooks that it implements.
        error: Why it was left out.
    """

    plugin: str
    hooks: tuple[str, ...] = ()
    error: PluginError | None = None


def gather(manager: pluggy.PluginManager, manifests: Mapping[str, Manifest]) -> list[Gathered]:
    """Import and register every hook module; one that does not load is named on stderr.

    Args:
        manager: Where they are registered.
        manifests: Plugin name -> manifest.
    """
    return [
        _gathered(manager, name, content.hooks)
        for name, content in manifests.items()
        if content.hooks
    ]


def _gathered(manager: pluggy.PluginManager, name: str, module_name: str) -> Gathered:
    try:
        module = import_module(module_name)
        plugins.register(manager, f"{name}.hooks", module)
    except (Exception, SystemExit) as error:
        reason = error.message if isinstance(error, ZooError) else repr(error)
        reason = f"run hooks: {reason.removeprefix(f'{name}.hooks: ')}"
        way = f"zoo plugins disable {name}"
        say(f"plugin {name} does without its {reason} ({way})")
        found = PluginError(f"plugin {name}, {reason}", hint=f"{way}, or ask its author")
        return Gathered(name, error=found)
    own = {caller.name for caller in manager.get_hookcallers(module) or ()}
    if ignored := ", ".join(sorted(own - set(RUN_HOOKS))):
        say(f"plugin {name}, {module_name}: {ignored} is ignored, parts stand in its manifest")
    return Gathered(name, tuple(sorted(own & set(RUN_HOOKS))))


def say(text: str) -> None:
    """Tell people something on stderr; of several processes the first one speaks.

    Args:
        text: One line.
    """
    if settings.first_process():
        sys.stderr.write(f"{text}\n")
