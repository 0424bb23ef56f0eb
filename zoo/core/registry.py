"""The registry: one read-only shelf a kind, filled from all plugins and overlays."""

from __future__ import annotations

import functools
import gc
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from zoo.core import manifest, names, plugins, settings
from zoo.core.hookspecs import KINDS
from zoo.core.resolve import accepted, called, target_of
from zoo.core.settings import Hub
from zoo.core.specs import ModelSpec, PartSpec, PluginInfo
from zoo.errors import PluginError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pluggy

    from zoo.core.manifest import Known, Manifest, Pin
    from zoo.core.overlay import Waiting


class Registry:
    """Everything that can be named, looked up without importing what it names.

    Args:
        loaded: The plugins.
        overlays: Registry files that add weights, recipes or parts; later ones win.

    Attributes:
        plugins: What became of each plugin.
        waiting: Entries of overlays whose plugins are not loaded.
        hook_errors: Why run hooks were left out, once they were asked for.
    """

    def __init__(self, loaded: plugins.Loaded, overlays: tuple[Manifest, ...] = ()) -> None:
        self._manager = loaded.manager
        self._manifests = loaded.manifests
        self._overlays = overlays
        self._hooks_imported = False
        self.plugins: tuple[PluginInfo, ...] = tuple(loaded.infos)
        shelves: dict[str, dict[str, PartSpec]] = {kind: {} for kind in KINDS}
        for parts in loaded.parts.values():
            for kind, specs in parts.items():
                shelves[kind].update({spec.qualified: spec for spec in specs})
        self.hub: dict[str, str] = {}
        self.pins: dict[str, Pin] = {}
        known = [k for m in loaded.manifests.values() for k in m.known]
        self.hook_errors: list[PluginError] = []
        self.waiting: list[Waiting] = []
        for overlay in overlays:
            from zoo.core.overlay import lay_over  # most people have none

            self.waiting += lay_over(shelves, overlay, loaded.parts)
            self.hub.update(overlay.hub)
            self.pins.update({pin.source: pin for pin in overlay.pins})
            known += overlay.known
        self.known: tuple[Known, ...] = tuple(known)
        self._shelves = {kind: MappingProxyType(shelf) for kind, shelf in shelves.items()}

    def shelf(self, kind: str) -> Mapping[str, PartSpec]:
        """All parts of one kind by qualified name.

        Raises:
            UnknownNameError: There is no such kind.
        """
        try:
            return self._shelves[kind]
        except KeyError:
            close = names.suggest(kind, KINDS)
            raise UnknownNameError(
                f"unknown kind {kind!r}", hint=f"kinds: {', '.join(KINDS)}", suggestions=close
            ) from None

    def model(self, reference: str) -> ModelSpec:
        """Find a model.

        Raises:
            UnknownNameError: No plugin has it.
            UsageError: Malformed or ambiguous.
        """
        spec = self.find("model", reference)
        assert isinstance(spec, ModelSpec)
        return spec

    def find(self, kind: str, reference: str) -> PartSpec:
        """Find a part by name, qualified name or alias.

        A bare name is the built-in's if there is one, else the only plugin's that has it.

        Raises:
            UnknownNameError: No plugin has it; carries close names.
            UsageError: Malformed, or several plugins have it.
        """
        shelf = self.shelf(kind)
        parsed = names.parse(reference)
        if parsed.source:
            raise UsageError(f"{reference!r} is not the name of a {kind}")
        wanted = parsed.qualified
        if wanted in shelf:
            return shelf[wanted]
        matches = [s for s in shelf.values() if _answers(s, parsed.plugin, parsed.name)]
        builtin = [spec for spec in matches if spec.plugin == plugins.BUILTIN]
        if len(builtin or matches) == 1:
            return (builtin or matches)[0]
        if matches:
            listed = ", ".join(sorted(spec.qualified for spec in matches))
            raise UsageError(f"{wanted!r} is in several plugins", hint=f"say which: {listed}")
        raise self._unknown(kind, wanted)

    def _unknown(self, kind: str, wanted: str) -> UnknownNameError:
        for known in self.known:
            whole = known.name.endswith("/*") and wanted.startswith(known.name[:-1])
            bare = wanted.rpartition("/")[2]
            if known.kind == kind and (whole or known.name in (wanted, bare)):
                return UnknownNameError(
                    f"{kind} {wanted!r} is in plugin {known.plugin}, which is not loaded here",
                    hint=known.install or "zoo plugins",
                )
        name, slash, _ = wanted.partition("/")
        state = {p.name: p.state for p in self.plugins}.get(name) if slash else None
        if state == "quarantined":
            return UnknownNameError(f"plugin {name} did not load", hint="zoo plugins")
        if state == "disabled":
            return UnknownNameError(f"plugin {name} is switched off", hint=switch_on(name))
        for waits in self.waiting:
            if state is None and (kind, waits.name) == ("model", wanted):
                return UnknownNameError(
                    f"model {wanted!r} is in plugin {name}, which is not installed here",
                    hint=f"install plugin {name}; {waits.path} only adds to it",
                )
        shelf = self.shelf(kind)
        candidates = [*shelf, *(alias for spec in shelf.values() for alias in spec.aliases)]
        close = names.suggest(wanted, candidates)
        hint = names.did_you_mean(close) or f"zoo list --kind {kind}"
        return UnknownNameError(f"unknown {kind} {wanted!r}", hint=hint, suggestions=close)

    def build(self, kind: str, reference: str, /, *args: Any, **options: Any) -> Any:
        """Find a part and call its target with its default options and these.

        Args:
            kind: Kind of part.
            reference: Its name.
            *args: Positional arguments of the kind's contract.
            **options: Keyword arguments; they override the part's own options.

        Raises:
            UnknownNameError: No such part.
            UsageError: The target does not take one of the options.
            PluginError: The target cannot be imported, or lacks what the part requires.
        """
        spec = self.find(kind, reference)
        target = target_of(spec)
        if not callable(target):
            raise UsageError(f"{kind} {spec.qualified}: target {spec.target} is not callable")
        given = accepted(target, spec, kind, args, {**spec.options, **options})
        if getattr(spec, "form", "factory") == "function":
            return functools.partial(target, **given) if given else target
        return called(target, spec, kind, args, given)

    def ask(self, kind: str, reference: str, question: str, /, **options: Any) -> Any:
        """Call a function that hangs on a part's target, such as ``splits`` of a data set.

        Args:
            kind: Kind of part.
            reference: Its name.
            question: The function's name.
            **options: Keyword arguments; they override the part's own options.

        Raises:
            UnknownNameError: No such part.
            UsageError: The function does not take one of the options.
            PluginError: The target cannot be imported, lacks what the part requires, or has no
                such function.
        """
        spec = self.find(kind, reference)
        function = getattr(target_of(spec), question, None)
        if not callable(function):
            raise PluginError(
                f"{kind} {spec.qualified}: target {spec.target} has no function {question}",
                hint="its entry says that it has: docs/reference/plugin-api.md",
            )
        given = accepted(function, spec, kind, (), {**spec.options, **options})
        return called(function, spec, kind, (), given)

    def run_hooks(self) -> pluggy.HookRelay:
        """The run hooks of all plugins; imports the hook modules that manifests name.

        A plugin whose hook module does not load does without and counts as quarantined from then
        on, which commands say; its parts stay.

        Raises:
            PluginError: One does not load and ``ZOO_STRICT_PLUGINS`` is set.
        """
        if not self._hooks_imported:
            from zoo.core.runhooks import gather  # only runs need them

            self._hooks_imported = True
            for found in gather(self._manager, self._manifests):
                if found.error is None:
                    self._change(found.plugin, hooks=found.hooks, error=found.note)
                    continue
                self.hook_errors.append(found.error)
                reason = found.error.message.partition(", ")[2]
                self._change(found.plugin, state="quarantined", error=reason)
        if self.hook_errors and settings.strict_plugins():
            raise self.hook_errors[0]
        return self._manager.hook

    def _change(self, name: str, **fields: Any) -> None:
        """Note what became known of a plugin."""
        self.plugins = tuple(
            replace(info, **fields) if info.name == name else info for info in self.plugins
        )

    def notes(self) -> list[str]:
        """What registry files say that does nothing here, and why."""
        said = [
            f"{waits.path}: what it adds to {waits.name} waits for plugin {waits.plugin}"
            for waits in self.waiting
        ]
        said += [
            f"{overlay.path}: [plugin] hooks is ignored: an overlay runs no code"
            for overlay in self._overlays
            if overlay.hooks
        ]
        for name, content in self._manifests.items():
            said += [f"{content.path}: {text}" for text in unheard(content) if name != "zoo"]
        return said

    @property
    def manager(self) -> pluggy.PluginManager:
        """The pluggy manager, for those who want to look closer."""
        return self._manager


def switch_on(plugin: str) -> str:
    """How a plugin that is switched off is loaded again: a command or an edit."""
    if plugin in settings.denied_plugins():
        stored = plugin not in settings.disabled_by_variable()
        return f"zoo plugins enable {plugin}" if stored else f"ZOO_DISABLE_PLUGINS names {plugin}"
    return f"add {plugin} to ZOO_PLUGINS, or unset it"


def unheard(content: Manifest) -> list[str]:
    """What a plugin's manifest says that only overlays may say."""
    keys = {"[hub]": content.hub, "[[pin]]": content.pins}
    return [f"{key} is ignored: only overlays set it" for key, value in keys.items() if value]


def _answers(spec: PartSpec, plugin: str, name: str) -> bool:
    return (not plugin or plugin == spec.plugin) and (name == spec.name or name in spec.aliases)


def builtin_path() -> Path:
    """Where the built-in catalogue lies: beside the package, else beside its parent (editable)."""
    package = Path(__file__).resolve().parent.parent
    inside = package / "registry.toml"
    return inside if inside.exists() else package.parent / "registry.toml"


@functools.cache
def load() -> Registry:
    """The registry of this process, read once.

    Raises:
        UsageError: A registry file is wrong.
        PluginError: A plugin is broken and plugins are strict.
    """
    builtin = builtin_path()
    paths = [path for path in settings.overlays() if not _same(path, builtin)]
    collecting = gc.isenabled()
    gc.disable()  # thousands of records that stay: looking for garbage costs a fifth of the time
    try:
        overlays = tuple(manifest.read(path, patches=True) for path in paths)
        return Registry(plugins.load(builtin), overlays)
    finally:
        if collecting:
            gc.enable()


def hub() -> Hub:
    """The Hub that is asked: ``HF_ENDPOINT``, else an overlay's ``[hub] endpoint``, else the public one.

    An overlay may lie in any folder that was cloned from anywhere, so it may name a Hub but not
    receive a token: that takes ``HF_ENDPOINT``, which only the user sets.
    """
    chosen = settings.endpoint()
    if chosen:
        return Hub(chosen, takes_token=True)
    named = load().hub.get("endpoint", "").rstrip("/")
    return Hub(named or "https://huggingface.co", not named)


def _same(one: Path, other: Path) -> bool:
    try:
        return one.samefile(other)
    except OSError:
        return False
