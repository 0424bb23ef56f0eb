"""Plugins and trackers that watch a run: called one by one, a failing one is named and muted."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import torch

from zoo.core.resolve import resolve
from zoo.data.shown import shown
from zoo.data.views import order, undisturbed
from zoo.errors import PluginError, ZooError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import pluggy
    from torch import Tensor, nn

    from zoo.core.protocols import Augmentation
    from zoo.core.recipe import Recipe
    from zoo.core.registry import Registry
    from zoo.data.images import ImageSet

_SHOWN = 16


class Observers:
    """The run hooks of all plugins and the recipe's trackers.

    Args:
        registry: Where both are.
        strict: Raise instead of muting.
        note: Told which observer failed, once.

    Raises:
        PluginError: A plugin's hooks cannot be loaded and the run is strict.
    """

    def __init__(
        self, registry: Registry, *, strict: bool = False, note: Callable[[str], object] = print
    ) -> None:
        self._registry = registry
        said = len(registry.hook_errors)
        self._hooks: pluggy.HookRelay = registry.run_hooks()
        if strict and registry.hook_errors:
            raise registry.hook_errors[0]
        for error in registry.hook_errors[said:]:  # nobody asked for the hooks before
            note(f"{error.message} ({error.hint})")
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
            except (Exception, SystemExit) as error:
                raise PluginError(
                    f"plugin {implementation.plugin_name}, {hook}: {type(error).__name__}: {error}",
                    hint=_without(implementation),
                ) from error

    def ready(self, run: Any, model: nn.Module) -> None:
        """Let plugins change a model's values and settings before training: ``zoo_model_ready``.

        Its modules and tensors are the registry's and the recipe's: evaluation, prediction and
        export build them from there again, and would build another model.

        Raises:
            PluginError: A plugin failed, or replaced or added modules or tensors.
        """
        before = _structure(model)
        self.influence("zoo_model_ready", run=run, model=model)
        after = _structure(model)
        changed = [name for name in {**before, **after} if before.get(name) != after.get(name)]
        if changed:
            plugins = _implementations(self._hooks, "zoo_model_ready")
            name = changed[0]
            who = ", ".join(plugin.plugin_name for plugin in plugins)
            raise PluginError(
                f"zoo_model_ready ({who}) changed {name or 'the model'}: "
                f"{before.get(name, 'nothing')} -> {after.get(name, 'nothing')}; what is built from "
                "this run's checkpoints would be without it",
                hint=f"make it a model of its own in the registry, or {_without(plugins[0])}",
            )

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
        """Build the recipe's trackers; one that has a text ``where`` says where the run can be seen.

        Raises:
            UnknownNameError: No plugin has one of them.
            PluginError: One cannot be imported, or cannot be opened and the run is strict.
        """
        for name in recipe.output.trackers:
            resolve(self._registry.find("tracker", name).target)
            self._guarded(f"tracker {name}", "opening", self._open, name, folder)

    def _open(self, name: str, folder: Path) -> None:
        tracker = self._trackers[name] = self._registry.build("tracker", name, folder)
        if where := getattr(tracker, "where", ""):
            self._note(f"tracker {name}: {where}")

    @property
    def tracked(self) -> bool:
        """Whether there is a tracker."""
        return bool(self._trackers)

    def scalars(self, values: Mapping[str, float], step: int) -> None:
        """Give numbers to the trackers."""
        for name, tracker in self._trackers.items():
            self._guarded(f"tracker {name}", "scalars", tracker.scalars, dict(values), step)

    def show(self, model: nn.Module, images: Tensor | None) -> None:
        """Give the trackers what training begins with: its images as a grid, the model's graph.

        A tracker that fails in this goes on getting numbers.

        Args:
            model: Whole, as it is trained; called on one image if there is a tracker.
            images: As the model is shown them, uint8 ``(N, C, H, W)``; ``None`` = show nothing.
        """
        if images is None:
            return
        for name, tracker in self._trackers.items():
            who = f"what tracker {name} is shown first"
            device = next((p.device for p in model.parameters()), images.device)
            example = torch.zeros(1, *images.shape[1:], device=device)
            self._guarded(who, "image", tracker.image, "images/first", grid(images), 0)
            with undisturbed():
                self._guarded(who, "graph", tracker.graph, model, example)

    def close(self, result: object = None) -> None:
        """Finish the trackers; one that has a method ``ended`` is told first how the run ended.

        Args:
            result: The run's result, the error that ended it, or ``None`` if neither is known.

        Raises:
            PluginError: One failed and the run is strict.
        """
        while self._trackers:
            name, tracker = self._trackers.popitem()
            if result is not None and (ended := getattr(tracker, "ended", None)):
                self._guarded(f"tracker {name}", "ended", ended, result)
            self._guarded(f"tracker {name}", "close", tracker.close)

    def _guarded(self, who: str, what: str, action: Callable[..., object], *values: Any) -> None:
        if who in self._muted:
            return
        try:
            action(*values)
        except (Exception, SystemExit) as error:
            if self._strict:
                hint = error.hint if isinstance(error, ZooError) else ""
                raise PluginError(f"{who}, {what}: {_reason(error)}", hint=hint) from error
            self._muted.add(who)
            hint = f" ({error.hint})" if isinstance(error, ZooError) and error.hint else ""
            self._note(f"{who} failed in {what} and is muted: {_reason(error)}{hint}")


def first_images(images: ImageSet, transform: Augmentation, seed: int) -> Tensor | None:
    """The images that training begins with, as the model is shown them.

    Args:
        images: The training images.
        transform: uint8 ``(C, H, W)`` to uint8 ``(C, H, W)``, all of one size.
        seed: Seed of the run.

    Returns:
        uint8 ``(N, C, H, W)``, at most 16; ``None`` if they cannot be read, which the loop says.
    """
    rows = order(len(images), seed=seed, epoch=0)[:_SHOWN].tolist()
    (drawn,) = shown(images, transform, rows, [0], seed=seed)
    return drawn.batch.images if drawn.batch else None


def grid(images: Tensor) -> Tensor:
    """Lay images side by side: ``(N, C, H, W)`` to ``(C, rows * H, columns * W)``."""
    count, channels, height, width = images.shape
    columns = math.ceil(math.sqrt(count))
    rows = math.ceil(count / columns)
    spare = images.new_zeros(rows * columns - count, channels, height, width)
    table = torch.cat([images, spare]).view(rows, columns, channels, height, width)
    return table.permute(2, 0, 3, 1, 4).reshape(channels, rows * height, columns * width)


def _implementations(hooks: pluggy.HookRelay, name: str) -> list[Any]:
    caller = getattr(hooks, name)
    return list(reversed(caller.get_hookimpls()))


def _without(implementation: Any) -> str:
    return f"zoo plugins disable {implementation.plugin_name.partition('.')[0]}"


def _reason(error: BaseException) -> str:
    return error.message if isinstance(error, ZooError) else f"{type(error).__name__}: {error}"


def _structure(model: nn.Module) -> dict[str, str]:
    """What a checkpoint is rebuilt by: the kind of each module, the shape of each tensor."""
    found = {name: type(module).__qualname__ for name, module in model.named_modules()}
    return found | {n: str(tuple(getattr(t, "shape", ()))) for n, t in model.state_dict().items()}


def _call(implementation: Any, values: Mapping[str, Any]) -> None:
    implementation.function(**{name: values[name] for name in implementation.argnames})
