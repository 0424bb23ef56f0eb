"""``zoo info``: everything known about one part, without importing it."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from zoo.cli.output import Out, percent, size
from zoo.core import registry
from zoo.core.hookspecs import KINDS
from zoo.core.names import did_you_mean, suggest
from zoo.core.specs import DatasetSpec, ModelSpec
from zoo.errors import UnknownNameError

if TYPE_CHECKING:
    from zoo.core.registry import Registry
    from zoo.core.specs import InputSpec, PartSpec

_SHOWN = {"name", "target", "summary", "tags", "aliases", "options", "requires", "deprecated"}


@click.command("info")
@click.argument("name")
@click.option("--kind", type=click.Choice(list(KINDS)), help="Kind of part; default: any.")
@click.option("--layers", is_flag=True, help="Every layer of a model: shape, size, operations.")
@click.option(
    "--depth", type=click.IntRange(1), metavar="N", help="With --layers: modules down to level N."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(name: str, kind: str | None, layers: bool, depth: int | None, as_json: bool) -> None:
    """Show everything known about NAME, a model or any other part."""
    out = Out("json" if as_json else "table")
    if layers or depth:
        _layers(out, name, depth)
        return
    kind, spec = _find(registry.load(), name, kind)
    if as_json:
        out.json({"kind": kind, "qualified": spec.qualified, **asdict(spec)})
    elif isinstance(spec, ModelSpec):
        _model(out, spec)
    else:
        _part(out, kind, spec)
    others = [
        other.qualified
        for other in registry.load().shelf(kind).values()
        if other.name == spec.name and other.qualified != spec.qualified
    ]
    if others and not as_json:
        out.note(f"also called {spec.name}: {', '.join(others)} (say the whole name for it)")


def _find(known: Registry, name: str, kind: str | None) -> tuple[str, PartSpec]:
    kinds = [kind] if kind else list(KINDS)
    for each in kinds:
        try:
            return each, known.find(each, name)
        except UnknownNameError as error:
            if kind or (each == "model" and not error.suggestions and "plugin" in error.message):
                raise
    everything = {n: each for each in kinds for n in known.shelf(each)}
    close = suggest(name, everything)
    hint = did_you_mean(f"{n} ({everything[n]})" for n in close) or "zoo list"
    raise UnknownNameError(f"nothing is called {name!r}", hint=hint, suggestions=close)


def _head(out: Out, kind: str, spec: PartSpec) -> None:
    out.line(f"{spec.qualified}  ({kind}, from {spec.plugin})")
    if spec.summary:
        out.line(spec.summary)
    if spec.deprecated:
        out.line(f"deprecated: {spec.deprecated}")
    out.line()


def _common(spec: PartSpec) -> list[tuple[str, object]]:
    return [
        ("aliases", ", ".join(spec.aliases)),
        ("tags", ", ".join(spec.tags)),
        ("options", ", ".join(f"{k}={v!r}" for k, v in spec.options.items())),
        ("needs", ", ".join(spec.requires)),
        ("target", spec.target),
    ]


def _part(out: Out, kind: str, spec: PartSpec) -> None:
    _head(out, kind, spec)
    own = [
        (key.replace("_", " "), _words(value))
        for key, value in asdict(spec).items()
        if key not in _SHOWN and key != "plugin"
    ]
    out.pairs([*own, *_common(spec)], indent=2)
    use = {
        "dataset": f"zoo finetune resnet18 --data {spec.qualified}",
        "loss": f"zoo finetune resnet18 --loss {spec.qualified}",
        "optimizer": f"zoo finetune resnet18 --optimizer {spec.qualified}",
        "scheduler": f"zoo finetune resnet18 --schedule {spec.qualified}",
        "transform": f"zoo finetune resnet18 --transform {spec.qualified}",
        "exporter": f"zoo export RUN --format {spec.qualified}",
        "tracker": f"zoo finetune resnet18 --tracker {spec.qualified}",
        "command": f"zoo {spec.qualified} --help",
    }
    if isinstance(spec, DatasetSpec) and spec.download == "auto":
        use["dataset"] += " --download"
    if kind in use:
        out.line(f"\nuse:  {use[kind]}")


def _words(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items())
    if isinstance(value, tuple | list):
        return ", ".join(map(str, value))
    return "" if value is None else str(value)


def _model(out: Out, spec: ModelSpec) -> None:
    _head(out, "model", spec)
    exact = f"{spec.params:,} with {spec.classes} classes" if spec.params else "not stated"
    out.pairs(
        [
            ("family", spec.family),
            ("task", spec.task),
            ("parameters", exact),
            ("input", _input(spec.input)),
            ("head", spec.head),
            ("neck", ", ".join(spec.neck)),
            ("auxiliary heads", ", ".join(spec.aux)),
            ("paper", spec.paper),
            *_common(spec),
            ("suggested", ", ".join(f"{k}={v}" for k, v in spec.recipe.items())),
        ],
        indent=2,
    )
    if spec.stages:
        out.line("\nstages, for --freeze-upto (frozen up to and including)")
        groups = [*spec.stages]
        groups += [("neck", spec.neck)] if spec.neck else []
        groups += [("aux", spec.aux)] if spec.aux else []
        groups.append(("head", (spec.head,)))
        rows = [
            (
                f"  {name}",
                f"{spec.stage_params[name]:,}" if name in spec.stage_params else "?",
                " ".join(p),
            )
            for name, p in groups
        ]
        out.table(("  stage", "params", "modules"), rows, right=("params",))
    _weights(out, spec)
    _usage(out, spec)


def _layers(out: Out, name: str, depth: int | None) -> None:
    """The one view that builds the model (on the meta device, without weights)."""
    from zoo.api import summary

    found = summary(name)
    shown = found.table(depth)
    if out.form == "json":
        out.json({"total": asdict(found.total), "layers": [asdict(row) for row in shown]})
        return
    rows = [
        (
            row.path,
            row.kind,
            "x".join(map(str, row.shape[1:])) if row.shape else "",
            f"{row.params:,}" if row.params else "",
            f"{row.flops / 1e6:,.1f}" if row.flops else "",
        )
        for row in shown
    ]
    out.table(("module", "kind", "output", "params", "MFLOP"), rows, right=("params", "MFLOP"))
    out.note(found.line())


def _input(spec: InputSpec | None) -> str:
    if spec is None:
        return "not stated"
    text = f"{' x '.join(map(str, spec.size))}, {spec.interpolation}"
    if spec.resize:
        text += f", resize {spec.resize}"
    if spec.crop:
        text += f", crop {spec.crop}"
    if spec.crop_mode != "center":
        text += f", {spec.crop_mode}"
    if spec.mean:
        text += f"\nmean {', '.join(map(str, spec.mean))}; std {', '.join(map(str, spec.std))}"
    return text


def _weights(out: Out, spec: ModelSpec) -> None:
    if not spec.weights:
        out.line("\nno pretrained weights: zoo train, or --weights file:PATH | hub:ORG/REPO")
        return
    out.line("\nweights (the first is the default)")
    rows = [
        (
            f"  {w.name}",
            percent(w.metrics, "top1"),
            w.trained_on or w.labels,
            w.classes,
            size(w.bytes),
            w.licence or "not verified",
            "pinned" if w.revision or len(w.sha256) == 64 else w.sha256[:8] or "unpinned",
            w.source + (f" ({w.file})" if w.source.startswith("hub:") and w.file else ""),
        )
        for w in spec.weights
    ]
    out.table(
        ("  tag", "top-1", "data", "classes", "size", "licence", "digest", "source"),
        rows,
        right=("top-1", "classes", "size"),
    )


def _usage(out: Out, spec: ModelSpec) -> None:
    out.line("\nuse:")
    verb = "finetune" if spec.weights else "train"
    middle = [name for name, _ in spec.stages]
    freeze = f" --freeze-upto {middle[-2]}" if spec.weights and len(middle) > 1 else ""
    out.line(f"  zoo {verb} {spec.qualified}{freeze} --data FOLDER")
    tag = f":{spec.weights[0].name}" if spec.weights else ""
    out.line(f'  zoo.create_model("{spec.qualified}{tag}", classes=300)')
