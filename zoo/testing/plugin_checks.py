"""Questions about a plugin as a whole: it loads, says its api, names well, and costs nothing.

Standard library only: whether a plugin imports torch is asked of a fresh process.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core import manifest, plugins, registry
from zoo.core.compose import compose
from zoo.core.hookspecs import RUN_HOOKS, CatalogueHooks, RunHooks
from zoo.core.names import did_you_mean, suggest
from zoo.core.resolve import import_module, missing, resolve
from zoo.core.specs import DatasetSpec, ModelSpec, WeightsSpec
from zoo.errors import HubError, UnknownNameError, VerificationError
from zoo.testing.checks import Check, Skip, require

if TYPE_CHECKING:
    from collections.abc import Callable

    from zoo.core.specs import PartSpec, PluginInfo

_HEAVY = ("torch", "torchvision", "numpy", "timm", "PIL")
_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*\Z")
_PROBE = """
import json, sys
from zoo.core import manifest, registry
from zoo.core.hookspecs import CatalogueHooks, RunHooks
info = [p for p in registry.load().plugins if p.name == sys.argv[1]]
print(json.dumps([sorted(sys.modules), [p.state for p in info]]))
"""


def plugin_info(name: str) -> PluginInfo:
    """Find an installed plugin.

    Raises:
        UnknownNameError: There is none of that name.
    """
    infos = {info.name: info for info in registry.load().plugins}
    if name not in infos:
        close = suggest(name, infos)
        hint = did_you_mean(close) or "pip install -e FOLDER, then zoo plugins"
        raise UnknownNameError(f"no plugin {name!r} is installed", hint=hint, suggestions=close)
    return infos[name]


def plugin_checks(info: PluginInfo) -> list[Check]:
    """Questions about the plugin itself."""
    asked = [
        ("loads", _loads),
        ("says which plugin api it is for", _says_api),
        ("brings something", _brings),
        ("is listed without importing torch", _is_light),
        ("its run hooks are known ones", _hooks_are_known),
    ]
    if info.form == "manifest":
        asked.append(("its manifest says nothing that zoo ignores", _is_heard))
    return [Check("plugin", text, lambda ask=ask: ask(info)) for text, ask in asked]  # type: ignore[misc]


def part_checks(subject: str, spec: PartSpec) -> list[Check]:
    """Questions that every part answers, whatever its kind."""
    asked = (
        ("has a plain name and a summary", _is_described),
        ("its target can be imported", _resolves),
        ("what it requires is installed", _has_requirements),
        *_promises(spec),
    )
    return [Check(subject, text, lambda ask=ask: ask(spec)) for text, ask in asked]  # type: ignore[misc]


def _promises(spec: PartSpec) -> list[tuple[str, Callable[[Any], None]]]:
    """Questions about what an entry says beside its target, where it says it."""
    if isinstance(spec, DatasetSpec):
        return [("its labels can be imported", _has_labels)] if spec.labels else []
    if not isinstance(spec, ModelSpec):
        return []
    asked = [
        (spec.recipe, "its suggested recipe is one", _suggests),
        (spec.weights, "its weights fit what it is", _weights_fit),
    ]
    return [(text, ask) for there, text, ask in asked if there]


def _loads(info: PluginInfo) -> None:
    require(info.state == "ok", f"{info.state}: {info.error or 'switched off'}", hint="zoo plugins")


def _says_api(info: PluginInfo) -> None:
    require(
        info.api,
        "it does not say which plugin api it was written for",
        hint='api = ">=1,<2" under [plugin]'
        if info.form == "manifest"
        else 'ZOO_API = ">=1,<2" in the module',
    )


def _brings(info: PluginInfo) -> None:
    require(info.parts or info.hooks or info.form == "manifest", "it has no parts and no hooks")


def _is_light(info: PluginInfo) -> None:
    environment = {**os.environ, "ZOO_PLUGINS": info.name}
    environment["PYTHONPATH"] = os.pathsep.join(path for path in sys.path if path)
    done = subprocess.run(  # noqa: S603 - our own interpreter and our own text
        [sys.executable, "-c", _PROBE, info.name],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    require(done.returncode == 0, (done.stderr.strip().splitlines() or ["the probe failed"])[-1])
    modules: list[str] = json.loads(done.stdout)[0]
    heavy = [name for name in _HEAVY if name in modules]
    require(
        not heavy,
        f"listing its parts imports {', '.join(heavy)}",
        hint="declare the parts in a registry.toml, or import inside functions",
    )
    package = info.target.partition(":")[0].partition(".")[0]
    if info.form == "manifest":
        require(package not in modules, f"listing its parts imports {package}")


def _hooks_are_known(info: PluginInfo) -> None:
    """Register the hook module alone, as a run would."""
    if info.form == "code" and info.hooks:
        return  # zoo checked them when it loaded the module
    module_name = manifest.read(Path(info.path)).hooks if info.form == "manifest" else ""
    if not module_name:
        raise Skip("it names no hook module")
    import pluggy

    module = import_module(module_name)
    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(CatalogueHooks)
    manager.add_hookspecs(RunHooks)
    plugins.register(manager, f"{info.name}.hooks", module)
    own = {caller.name for caller in manager.get_hookcallers(module) or ()}
    require(own, f"{module_name} implements no hook", hint="@hookimpl")
    parts = ", ".join(sorted(own - set(RUN_HOOKS)))
    require(
        not parts,
        f"{parts} in {module_name} is ignored: the manifest names the parts",
        hint=f"name them in {Path(info.path).name}",
    )


def _is_heard(info: PluginInfo) -> None:
    """An author who writes a key expects it to do something."""
    if info.state != "ok":
        raise Skip("it does not load")
    ignored = registry.unheard(manifest.read(Path(info.path)))
    require(not ignored, "; ".join(ignored), hint=f"take it out of {Path(info.path).name}")


def _is_described(spec: PartSpec) -> None:
    require(_NAME.match(spec.name), f"{spec.name!r}: lower case, digits, '.', '_' and '-'")
    require(spec.summary.strip(), "it has no summary", hint='summary = "one line"')
    require("\n" not in spec.summary, "its summary is longer than one line")
    if isinstance(spec, ModelSpec):
        names = [weights.name for weights in spec.weights]
        require(len(set(names)) == len(names), "two of its weights have one name")
        for weights in spec.weights:
            _well_formed(weights)


def _well_formed(weights: WeightsSpec) -> None:
    source = weights.source.partition(":")[0]
    label = f"weights {weights.name}"
    require(source in ("hub", "url", "package", "file"), f"{label}: unknown source {source!r}")
    require(
        re.fullmatch(r"([0-9a-f]{40})?", weights.revision),
        f"{label}: revision is not 40 hex digits; leave it empty if nobody pinned it",
    )
    require(
        re.fullmatch(r"([0-9a-f]{8,64})?", weights.sha256),
        f"{label}: sha256 is not hex; leave it empty if nobody verified it",
    )


def _resolves(spec: PartSpec) -> None:
    if lacks := missing(spec):
        raise Skip(f"needs {', '.join(lacks)}")
    found: Any = resolve(spec.target)
    require(callable(found), f"{spec.target} is not callable")


def _suggests(spec: ModelSpec) -> None:
    """Compose it as a run would: an unknown field or a wrong value would stop every run."""
    for verb in ("train", "finetune"):
        compose(verb, [("its recipe", dict(spec.recipe))])


def _weights_fit(spec: ModelSpec) -> None:
    from zoo.hub.fetch import package_file

    for weights in spec.weights:
        label = f"weights {weights.name}"
        source, _, place = weights.source.partition(":")
        if source == "package":
            try:
                package_file(place)
            except HubError as error:
                raise VerificationError(f"{label}: {error.message}") from error
        for name in weights.options:
            require(
                not spec.options or name in spec.options,
                f"{label}: the model has no option {name!r}",
                hint=did_you_mean(suggest(name, spec.options))
                or f"it has {', '.join(spec.options)}",
            )


def _has_labels(spec: DatasetSpec) -> None:
    require(callable(resolve(spec.labels)), f"{spec.labels} is not callable")


def _has_requirements(spec: PartSpec) -> None:
    if lacks := missing(spec):
        raise Skip(f"not installed here: {', '.join(lacks)}")
