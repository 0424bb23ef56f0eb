"""``zoo list``: what exists, without importing any of it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import click

from zoo.cli.output import Out, count
from zoo.core import registry
from zoo.core.hookspecs import KINDS
from zoo.core.names import did_you_mean, matches, natural_key, suggest
from zoo.core.specs import ModelSpec
from zoo.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from zoo.core.registry import Registry
    from zoo.core.specs import PartSpec

_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*([kmb]?)\Z", re.IGNORECASE)


@click.command("list")
@click.argument("pattern", required=False)
@click.option(
    "--kind", type=click.Choice(list(KINDS)), default="model", help="Kind of part; default: model."
)
@click.option("--family", help="Only this family of models.")
@click.option("--task", help="Only parts for this task, e.g. classification.")
@click.option("--max-params", metavar="N", help="Only models with at most N parameters: 20M, 500k.")
@click.option("--plugin", help="Only parts of this plugin (zoo: the built-in ones).")
@click.option("--weights", "has_weights", is_flag=True, help="Only models with pretrained weights.")
@click.option("--hub", metavar="QUERY", help="Search the Hub instead.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--names", "as_names", is_flag=True, help="Print names only.")
def command(
    pattern: str | None,
    kind: str,
    hub: str | None,
    as_json: bool,
    as_names: bool,
    **filters: Any,
) -> None:
    """List parts; PATTERN is a name with * and ?, a piece of one, or a tag."""
    out = Out("json" if as_json else "names" if as_names else "table")
    if hub is not None:
        _hub(out, hub)
        return
    known = registry.load()
    found = [s for s in known.shelf(kind).values() if _fits(s, pattern, filters)]
    found.sort(key=lambda spec: (spec.plugin != "zoo", natural_key(spec.qualified)))
    if not found and known.shelf(kind):
        _nothing(known, kind, pattern, filters)
    if out.form == "json":
        out.json(found)
    elif not found:
        out.note(f"no plugin has a {kind}; zoo plugins new writes one")
    elif out.form == "names":
        for spec in found:
            out.line(spec.qualified)
    elif kind == "model":
        _models(out, [spec for spec in found if isinstance(spec, ModelSpec)])
    else:
        out.table(("name", "summary"), [(spec.qualified, spec.summary) for spec in found])
    _broken(out, known)


def _models(out: Out, found: list[ModelSpec]) -> None:
    rows = [
        (
            spec.qualified,
            count(spec.params),
            spec.family,
            "x".join(map(str, spec.input.size)) if spec.input else "",
            len(spec.weights) or "",
            _best(spec),
            spec.summary,
        )
        for spec in found
    ]
    right = ("params", "weights", "top-1")
    out.table(
        ("model", "params", "family", "input", "weights", "top-1", "summary"), rows, right=right
    )
    out.note(f"{len(found)} {'model' if len(found) == 1 else 'models'}; zoo info NAME says more")


def _best(spec: ModelSpec) -> str:
    values = [v for w in spec.weights[:1] for k, v in w.metrics.items() if k.endswith("/top1")]
    return f"{values[0]:.2f}" if values else ""


def _fits(spec: PartSpec, pattern: str | None, filters: dict[str, Any]) -> bool:
    if pattern and not matches(pattern, (spec.name, spec.qualified, *spec.aliases), spec.tags):
        return False
    if filters["plugin"] and spec.plugin != filters["plugin"]:
        return False
    for key in ("family", "task"):
        if filters[key] and getattr(spec, key, None) != filters[key]:
            return False
    if filters["max_params"]:
        params = getattr(spec, "params", None)
        if params is None or params > _number(filters["max_params"]):
            return False
    return not filters["has_weights"] or bool(getattr(spec, "weights", ()))


def _number(text: str) -> float:
    match = _SIZE.match(text)
    if match is None:
        raise UsageError(f"--max-params {text!r} is not a number", hint="write 20M, 500k or 1.5B")
    return float(match[1]) * {"": 1, "k": 1e3, "m": 1e6, "b": 1e9}[match[2].lower()]


def _nothing(known: Registry, kind: str, pattern: str | None, filters: dict[str, Any]) -> None:
    shelf = known.shelf(kind)
    if filters["plugin"]:
        _nothing_of(known, kind, filters["plugin"])
    if filters["family"]:
        families = sorted({getattr(spec, "family", "") for spec in shelf.values()} - {""})
        if filters["family"] not in families:
            close = suggest(filters["family"], families)
            hint = did_you_mean(close) or f"families: {', '.join(families)}"
            raise UnknownNameError(f"no family {filters['family']!r}", hint=hint)
    if pattern and not any(value for value in filters.values()):
        close = suggest(pattern.strip("*?"), shelf)
        hint = _elsewhere(known, pattern) or did_you_mean(close) or f"zoo list --kind {kind}"
        raise UnknownNameError(f"no {kind} matches {pattern!r}", hint=hint, suggestions=close)
    raise UnknownNameError(f"no {kind} fits these filters", hint="take one away")


def _elsewhere(known: Registry, pattern: str) -> str:
    """The command for a pattern that is the name of a kind, or of a part of another kind."""
    words = {word: kind for kind in KINDS for word in (kind, KINDS[kind].shelf)}
    if pattern.lower() in words:
        return f"zoo list --kind {words[pattern.lower()]}"
    for kind in KINDS:
        if any(pattern.lower() in (s.name, s.qualified) for s in known.shelf(kind).values()):
            return f"zoo list {pattern} --kind {kind}"
    return ""


def _nothing_of(known: Registry, kind: str, plugin: str) -> None:
    """Say why a plugin has nothing of a kind; passes if it has."""
    infos = {info.name: info for info in known.plugins}
    if plugin not in infos:
        close = suggest(plugin, infos)
        raise UnknownNameError(f"no plugin {plugin!r}", hint=did_you_mean(close) or "zoo plugins")
    info = infos[plugin]
    if info.state == "disabled":
        raise UnknownNameError(f"plugin {plugin} is switched off", hint=registry.switch_on(plugin))
    if info.state == "quarantined" and not info.parts:
        raise UnknownNameError(
            f"plugin {plugin} is out of order: {info.error}", hint=f"zoo plugins show {plugin}"
        )
    if kind not in info.parts:
        has = ", ".join(f"{number} {other}" for other, number in info.parts.items())
        kinds = [*info.parts]
        raise UnknownNameError(
            f"plugin {plugin} has no {kind}" + (f"; it has: {has}" if has else ""),
            hint=f"zoo list --kind {kinds[0]} --plugin {plugin}"
            if kinds
            else f"zoo plugins show {plugin}",
        )


def _broken(out: Out, known: Registry) -> None:
    for info in known.plugins:
        if info.state == "quarantined" and out.form == "table":
            out.note(f"plugin {info.name} is out of order: {info.error} (zoo plugins)")


def _hub(out: Out, query: str) -> None:
    from zoo.core.resolve import resolve

    search: Any = resolve("zoo.hub.search:search")
    found = search(query)
    if out.form == "json":
        out.json(found)
    elif out.form == "names":
        for item in found:
            out.line(item.id)
    else:
        rows = [(i.id, i.task, i.licence, i.downloads, "yes" if i.loadable else "") for i in found]
        out.table(("repository", "task", "licence", "downloads", "loadable"), rows)
