"""``zoo plugins``: which plugins there are, what state they are in, and switches for them."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Final

import click

from zoo.cli.output import Out
from zoo.core import discovery, plugins, registry, settings
from zoo.core.hookspecs import API_VERSION
from zoo.core.names import did_you_mean, suggest
from zoo.errors import DiskError, UnknownNameError

if TYPE_CHECKING:
    from zoo.core.specs import PluginInfo


_TYPED: Final = {
    "new": "zoo.cli.plugins_kit",
    "check": "zoo.cli.plugins_kit",
    "doctor": "zoo.cli.plugins_doctor",
}


class _Kit(click.Group):
    """The switches and ``show`` stand here; the others are imported when typed."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the subcommands."""
        return sorted({*super().list_commands(ctx), *_TYPED})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Find a subcommand; the kit's own are imported."""
        if cmd_name in _TYPED:
            from zoo.core.resolve import resolve

            found: Any = resolve(f"{_TYPED[cmd_name]}:{cmd_name}")
            assert isinstance(found, click.Command)
            return found
        return super().get_command(ctx, cmd_name)


@click.group("plugins", cls=_Kit, invoke_without_command=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.pass_context
def command(ctx: click.Context, *, as_json: bool) -> None:
    """Show installed plugins: form, api, parts, load time, state."""
    if ctx.invoked_subcommand:
        return
    out = Out("json" if as_json else "table")
    known = registry.load()
    infos = known.plugins
    if as_json:
        out.json([asdict(info) for info in infos])
        return
    rows = [
        (
            info.name,
            info.version,
            info.api or "any",
            info.form,
            _brings(info),
            f"{info.load_ms:.1f}",
            info.state,
        )
        for info in infos
    ]
    heads = ("plugin", "version", "api", "form", "brings", "ms", "state")
    out.table(heads, rows, right=("ms",))
    for info in infos:
        if info.error:
            out.line(f"{info.name}: {info.error}")
    for text in known.notes():
        out.note(text)
    if any(info.hook_module for info in infos):
        out.note(
            "run hooks of manifests are imported when a run starts; zoo plugins doctor tries them"
        )
    out.note(f"this zoo's plugin api: {API_VERSION}")


def _brings(info: PluginInfo) -> str:
    pieces = [f"{number} {kind}{'s' if number != 1 else ''}" for kind, number in info.parts.items()]
    pieces += [f"hook {name}" for name in info.hooks]
    pieces += [f"run hooks in {info.hook_module}"] if info.hook_module else []
    return ", ".join(pieces).replace("losss", "losses")


@command.command("show")
@click.argument("name")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def show(name: str, *, as_json: bool) -> None:
    """Show one plugin and the parts that it declares as data; nothing of it is imported."""
    out = Out("json" if as_json else "table")
    info, parts = _look(name)
    if as_json:
        out.json({**asdict(info), "names": parts})
        return
    out.pairs(
        [
            ("plugin", info.name),
            ("distribution", f"{info.distribution} {info.version}".strip()),
            ("form", info.form),
            ("api", info.api or "any"),
            ("entry point", info.target),
            ("path", info.path),
            ("state", info.state),
            ("error", info.error),
            ("hooks", ", ".join(info.hooks) or info.hook_module),
            *((kind, _some(found)) for kind, found in parts.items()),
        ]
    )

    if info.state == "unloaded":
        out.note("it is code: zoo plugins imports it and says what it brings")


def _look(name: str) -> tuple[PluginInfo, dict[str, list[str]]]:
    """What is known of a plugin without importing it, and its parts' names by kind."""
    if name == plugins.BUILTIN:
        loaded = plugins.builtin(registry.builtin_path())
    else:
        loaded = plugins.look(name)
    if not loaded.infos:
        installed = [plugins.BUILTIN, *(point.name for point in discovery.find())]
        close = suggest(name, installed)
        hint = did_you_mean(close) or "zoo plugins"
        raise UnknownNameError(f"no plugin {name!r} is installed", hint=hint, suggestions=close)
    found = loaded.parts.get(name, {})
    return loaded.infos[0], {kind: [s.qualified for s in specs] for kind, specs in found.items()}


def _some(found: list[str], most: int = 12) -> str:
    more = f" and {len(found) - most} more" if len(found) > most else ""
    return ", ".join(found[:most]) + more


@command.command("disable")
@click.argument("name")
def disable(name: str) -> None:
    """Never load plugin NAME again (nothing of it is imported)."""
    _switch(name, off=True)


@command.command("enable")
@click.argument("name")
def enable(name: str) -> None:
    """Load plugin NAME again."""
    _switch(name, off=False)


def _switch(name: str, *, off: bool) -> None:
    out = Out()
    path = settings.disabled_file()
    try:
        stored = path.read_text("utf-8").splitlines() if path.exists() else []
        names = {line.strip() for line in stored if line.strip()}
        installed = {point.name for point in discovery.find()}
        if name not in installed | names:
            close = suggest(name, installed)
            hint = did_you_mean(close) or "zoo plugins"
            raise UnknownNameError(f"no plugin {name!r} is installed", hint=hint)
        names = names | {name} if off else names - {name}
        path.parent.mkdir(parents=True, exist_ok=True)
        fresh = path.with_suffix(".new")
        fresh.write_text("".join(f"{each}\n" for each in sorted(names)), "utf-8")
        fresh.replace(path)
    except OSError as error:
        raise DiskError(f"cannot write {path}: {error.strerror}", hint="set ZOO_CONFIG") from error
    out.line(f"{name} is {'disabled' if off else 'enabled'} ({path})")
