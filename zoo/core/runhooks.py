"""Importing the hook modules that manifests name, so that a broken one breaks only itself."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.core import plugins
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
        note: What it says that does nothing.
    """

    plugin: str
    hooks: tuple[str, ...] = ()
    error: PluginError | None = None
    note: str = ""


def gather(manager: pluggy.PluginManager, manifests: Mapping[str, Manifest]) -> list[Gathered]:
    """Import and register every hook module; one that does not load is left out.

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
        found = PluginError(f"plugin {name}, {reason}", hint=f"{way}, or ask its author")
        return Gathered(name, error=found)
    own = {caller.name for caller in manager.get_hookcallers(module) or ()}
    parts = ", ".join(sorted(own - set(RUN_HOOKS)))
    note = f"{parts} in {module_name} is ignored: the manifest names the parts" if parts else ""
    return Gathered(name, tuple(sorted(own & set(RUN_HOOKS))), note=note)
