"""Loading plugins so that a broken one breaks only itself.

A plugin that ships a manifest is registered as data: nothing of it is imported. Any other plugin
is imported and registered with pluggy. Whatever goes wrong on the way quarantines that plugin
alone; it stays visible in ``zoo plugins`` with the reason.
"""

from __future__ import annotations

import contextlib
import importlib
import re
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import pluggy

from zoo.core import discovery, manifest, settings
from zoo.core.convert import Mismatch, checked
from zoo.core.hookspecs import API_VERSION, KINDS, RUN_HOOKS, CatalogueHooks, RunHooks, hookimpl
from zoo.core.names import NAME, did_you_mean, suggest
from zoo.core.specs import PartSpec, PluginInfo
from zoo.core.tampering import untouched
from zoo.errors import PluginError, ZooError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from zoo.core.discovery import EntryPoint
    from zoo.core.manifest import Manifest

BUILTIN: Final = "zoo"
_RANGE: Final = re.compile(r"\s*(>=|<=|==|!=|<|>)\s*(\d+)\s*\Z")


class Declared:
    """A plugin that exists as data: its catalogue hooks give the manifest's specs."""

    def __init__(self, content: Manifest) -> None:
        self.manifest = content
        for kind, specs in content.parts.items():
            setattr(self, KINDS[kind].hook, hookimpl(lambda specs=specs: specs))


class Loaded:
    """All plugins of this process, the broken ones included.

    Attributes:
        manager: pluggy's manager with everything that loaded.
        infos: One record a plugin, built-in first, then by name.
        parts: Plugin name -> kind -> specs, stamped with the plugin's name.
        manifests: Plugin name -> manifest, where there is one.
    """

    def __init__(self) -> None:
        self.manager = pluggy.PluginManager(BUILTIN)
        self.manager.add_hookspecs(CatalogueHooks)
        self.manager.add_hookspecs(RunHooks)
        self.infos: list[PluginInfo] = []
        self.parts: dict[str, dict[str, tuple[PartSpec, ...]]] = {}
        self.manifests: dict[str, Manifest] = {}

    def add(self, info: PluginInfo, plugin: object) -> None:
        """Register one plugin and collect its parts; on any failure it leaves no trace.

        Raises:
            ZooError: It has a misspelt hook, or a hook gave something else than specs.
        """
        try:
            register(self.manager, info.name, plugin)
            data = isinstance(plugin, Declared)
            parts = {kind: self._collect(kind, info.name, data) for kind in KINDS}
        except BaseException:
            if self.manager.has_plugin(info.name):
                self.manager.unregister(name=info.name)
            raise
        self.parts[info.name] = {kind: specs for kind, specs in parts.items() if specs}
        counts = {kind: len(specs) for kind, specs in self.parts[info.name].items()}
        own = self.manager.get_hookcallers(plugin) or []
        hooks = tuple(sorted({c.name for c in own} & set(RUN_HOOKS)))
        self.infos.append(replace(info, parts=counts, hooks=hooks))

    def _collect(self, kind: str, name: str, data: bool) -> tuple[PartSpec, ...]:
        caller: pluggy.HookCaller = getattr(self.manager.hook, KINDS[kind].hook)
        found = [i for i in caller.get_hookimpls() if i.plugin_name == name]
        given = [spec for i in found for spec in _given(kind, i.function())]
        return _specs(kind, name, given, data=data)


def register(manager: pluggy.PluginManager, name: str, plugin: object) -> None:
    """Register one plugin and check its hooks' names and arguments; a wrong one is not kept.

    Args:
        manager: Where it is registered.
        name: What it is called there.
        plugin: A module, or an object with hook implementations.

    Raises:
        PluginError: A hook is misspelt or takes an argument that it does not get.
    """
    try:
        if manager.register(plugin, name) is None:
            raise PluginError(f"{name}: its entry point names nothing")
        manager.check_pending()
    except pluggy.PluginValidationError as error:
        if manager.has_plugin(name):
            manager.unregister(name=name)
        known = [kind.hook for kind in KINDS.values()] + list(RUN_HOOKS)
        wrong = re.search(r"unknown hook '(\w+)'", str(error))
        hint = did_you_mean(suggest(wrong[1], known)) if wrong else ""
        reason = " ".join(str(error).split())
        raise PluginError(
            f"{name}: {reason.partition(' Plugin definition:')[0]}", hint=hint
        ) from error


def load(catalogue: Path) -> Loaded:
    """Load the built-in catalogue and every allowed plugin.

    Raises:
        UsageError: The built-in catalogue itself is wrong.
        PluginError: A plugin is broken and ``ZOO_STRICT_PLUGINS`` is set.
    """
    loaded = builtin(catalogue)
    points = discovery.find()
    for point in points:
        _take(loaded, point, points)
    return loaded


def builtin(catalogue: Path) -> Loaded:
    """The built-in parts alone.

    Args:
        catalogue: Where their registry file lies.

    Raises:
        UsageError: It is wrong.
    """
    loaded = Loaded()
    started = time.perf_counter()
    content = manifest.read(catalogue, plugin=BUILTIN)
    info = PluginInfo(name=BUILTIN, api=f"=={API_VERSION}", form="builtin", path=str(catalogue))
    loaded.manifests[BUILTIN] = content
    loaded.add(replace(info, load_ms=_ms(started)), Declared(content))
    return loaded


def look(name: str) -> Loaded:
    """One plugin as far as it can be known without importing it: data is read, code is not run.

    Args:
        name: Its entry point's name; nothing is found if there is none.
    """
    loaded = Loaded()
    points = discovery.find()
    for point in points:
        if point.name == name:
            _take(loaded, point, points, run=False)
    return loaded


def _take(
    loaded: Loaded, point: EntryPoint, points: tuple[EntryPoint, ...], *, run: bool = True
) -> None:
    """Load one plugin, or note why not; ``run`` says whether code may be imported for it."""
    started = time.perf_counter()
    sources = [p.distribution for p in points if p.name == point.name]
    info = PluginInfo(
        name=point.name,
        distribution=point.distribution,
        version=point.version,
        target=point.target,
    )
    try:
        info = _describe(point, info)
        if not _wanted(point.name):
            loaded.infos.append(replace(info, state="disabled"))
            return
        if len(sources) > 1:
            raise PluginError(f"two distributions bring this plugin: {', '.join(sources)}")
        if info.form == "code" and not run:
            loaded.infos.append(replace(info, state="unloaded"))
            return
        _load_one(loaded, point, info, started)
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt) and _pressed.happened:
            raise
        if settings.strict_plugins() and run:
            raise PluginError(
                f"plugin {point.name}: {_reason(error)}",
                hint=f"zoo plugins disable {point.name}, or without ZOO_STRICT_PLUGINS",
            ) from error
        broken = replace(info, state="quarantined", error=_reason(error), load_ms=_ms(started))
        loaded.infos.append(broken)


def _wanted(name: str) -> bool:
    allowed = settings.allowed_plugins()
    return (allowed is None or name in allowed) and name not in settings.denied_plugins()


def _describe(point: EntryPoint, info: PluginInfo) -> PluginInfo:
    path = discovery.manifest_of(point.target)
    return replace(info, form="manifest" if path else "code", path=str(path or ""))


def _load_one(loaded: Loaded, point: EntryPoint, info: PluginInfo, started: float) -> None:
    if not NAME.match(point.name) or point.name == BUILTIN:
        raise PluginError(f"{point.name!r} cannot be a plugin's name")
    if info.path:
        content = manifest.read(Path(info.path), plugin=point.name)
        _check_api(content.api)
        loaded.manifests[point.name] = content
        info = replace(info, api=content.api, hook_module=content.hooks)
        loaded.add(replace(info, load_ms=_ms(started)), Declared(content))
        return
    module = _import(point.target)
    api = str(getattr(module, "ZOO_API", ""))
    _check_api(api)
    path = str(getattr(module, "__file__", "") or "")
    loaded.add(replace(info, api=api, path=path, load_ms=_ms(started)), module)


class _Pressed:
    """Whether Ctrl-C was pressed, as opposed to a plugin raising KeyboardInterrupt itself."""

    happened = False

    @contextlib.contextmanager
    def watch(self) -> Iterator[None]:
        """Notice Ctrl-C while a plugin is imported (main thread only)."""
        import signal

        def noticed(number: int, frame: Any) -> None:
            self.happened = True
            signal.default_int_handler(number, frame)

        try:
            before = signal.signal(signal.SIGINT, noticed)
        except ValueError:  # not the main thread: signals do not arrive here anyway
            yield
            return
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


_pressed = _Pressed()


def _import(target: str) -> object:
    """Import a code plugin: stdout goes to stderr, the random state is put back."""
    random = sys.modules.get("random")
    state = random.getstate() if random else None
    module_name, _, attribute = target.partition(":")
    try:
        with contextlib.redirect_stdout(sys.stderr), untouched(), _pressed.watch():
            found: object = importlib.import_module(module_name)
    finally:
        if random:
            random.setstate(state)
    for name in filter(None, attribute.split(".")):
        found = getattr(found, name)
    return found


def _check_api(text: str) -> None:
    for piece in filter(None, text.split(",")):
        match = _RANGE.match(piece)
        if match is None:
            raise PluginError(f"api range {text!r} is malformed; write >=1,<2")
        sign, number = match[1], int(match[2])
        order = (number < API_VERSION) - (number > API_VERSION)
        fits = {">=": order >= 0, "<=": order <= 0, "==": order == 0, "!=": order != 0}
        if not fits.get(sign, (order < 0) if sign == "<" else (order > 0)):
            raise PluginError(f"written for plugin api {text}; this zoo has {API_VERSION}")


def _given(kind: str, given: object) -> Iterable[object]:
    hook, spec_type, _ = KINDS[kind]
    if not isinstance(given, Iterable) or isinstance(given, str | bytes):
        raise PluginError(f"{hook} gave {type(given).__name__}, not {spec_type.__name__}s")
    return given


def _specs(kind: str, plugin: str, given: Iterable[object], *, data: bool) -> tuple[PartSpec, ...]:
    """The specs that a hook gave, looked at; ``data`` says that a manifest's reader did it."""
    hook, spec_type, _ = KINDS[kind]
    specs: list[PartSpec] = []
    for spec in given:
        if not isinstance(spec, spec_type):
            raise PluginError(f"{hook} gave {type(spec).__name__}, not {spec_type.__name__}")
        made = spec if data else _checked(spec, kind)
        if not NAME.match(made.name):
            raise PluginError(f"{hook}: {made.name!r} is not a name")
        specs.append(made if made.plugin == plugin else replace(made, plugin=plugin))
    names = [n for spec in specs for n in (spec.name, *spec.aliases)]
    twice = sorted({n for n in names if names.count(n) > 1}) if len(set(names)) < len(names) else []
    if twice:
        raise PluginError(f"{hook}: named twice: {', '.join(twice)}")
    return tuple(specs)


def _checked(spec: PartSpec, kind: str) -> PartSpec:
    """What code says of a part is held to the same types as what a manifest says."""
    try:
        made: PartSpec = checked(spec, KINDS[kind].spec)
    except (Mismatch, OverflowError) as error:
        hook = KINDS[kind].hook
        raise PluginError(f"{hook}: {kind} {spec.name!r}: {error}") from error
    return made


def _reason(error: BaseException) -> str:
    if isinstance(error, ZooError):
        return error.message + (f" ({error.hint})" if error.hint else "")
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__


def _ms(started: float) -> float:
    return round((time.perf_counter() - started) * 1000, 2)
