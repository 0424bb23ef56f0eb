"""Plugins and trackers that watch a run: called one by one, a failing one is named and muted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.errors import PluginError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pluggy

    from zoo.core.recipe import Recipe
    from zoo.core.registry import Registry


class Observers:
    """The run hooks of all plugins and the recipe's trackers.

    Args:
        registry: Where both are.
        strict: Raise instead of muting.
        note: Told which observer failed, once.
    """

    def __init__(
        self, registry: Registry, *, strict: bool = False, note: Callable[[str], object] = print
    ) -> None:
        self._registry = registry
        self._hooks: pluggy.HookRelay = registry.run_hooks()
        self._strict = strict
        self._note = note
        self._muted: set[str] = set()
        self._trackers: dict[str, Any] = {}

    def influence(self, hook: str, **values: Any) -> None:
        """Call a hook that may change the run; a failure aborts it.

        Raises:
            PluginError: A plugin failed.
        """
        for implementation in _implementations(self._hooks, hook):
            try:
                _call(implementation, values)
            except Exception as error:
                raise PluginError(
                    f"plugin {implementation.plugin_name}, {hook}: {type(error).__name__}: {error}",
                    hint=f"zoo plugins disable {implementation.plugin_name.partition('.')[0]}",
                ) from error

    def observe(self, hook: str, **values: Any) -> None:
        """Call a hook that only watches; a failing plugin is muted for the rest of the run.

        Raises:
            PluginError: A plugin failed and the run is strict.
        """
        for implementation in _implementations(self._hooks, hook):
            self._guarded(
                f"plugin {implementation.plugin_name}", hook, _call, implementation, values
            )

    def open_trackers(self, recipe: Recipe, folder: Path) -> None:
        """Build the recipe's trackers.

        Raises:
            UnknownNameError: No plugin has one of them.
            PluginError: One cannot be imported.
        """
        for name in recipe.output.trackers:
            self._trackers[name] = self._registry.build("tracker", name, folder)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Give numbers to the trackers."""
        for name, tracker in self._trackers.items():
            self._guarded(f"tracker {name}", "scalars", tracker.scalars, dict(values), step)

    def close(self) -> None:
        """Finish the trackers."""
        for name, tracker in self._trackers.items():
            self._guarded(f"tracker {name}", "close", tracker.close)
        self._trackers.clear()

    def _guarded(self, who: str, what: str, action: Callable[..., object], *values: Any) -> None:
        if who in self._muted:
            return
        try:
            action(*values)
        except Exception as error:
            if self._strict:
                raise PluginError(f"{who}, {what}: {type(error).__name__}: {error}") from error
            self._muted.add(who)
            self._note(f"{who} failed in {what} and is muted: {type(error).__name__}: {error}")


def _implementations(hooks: pluggy.HookRelay, name: str) -> list[Any]:
    caller = getattr(hooks, name)
    return list(reversed(caller.get_hookimpls()))


def _call(implementation: Any, values: Mapping[str, Any]) -> None:
    implementation.function(**{name: values[name] for name in implementation.argnames})
