"""``zoo mirror``: copy weights to a folder for offline machines, and take them from there."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.options import complete_model
from zoo.cli.output import Out, size
from zoo.cli.progress import Live
from zoo.core import registry
from zoo.errors import UsageError

if TYPE_CHECKING:
    from zoo.hub.mirror import Item

_FOLDER = click.Path(path_type=Path, file_okay=False)


@click.command("mirror")
@click.argument("references", nargs=-1, shell_complete=complete_model)
@click.option("--to", type=_FOLDER, metavar="DIR", help="Write REFERENCES to this folder.")
@click.option(
    "--from",
    "origin",
    type=_FOLDER,
    metavar="DIR",
    help="Take this folder's content into the cache.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    references: tuple[str, ...], to: Path | None, origin: Path | None, as_json: bool
) -> None:
    """Carry weights to machines without a network.

    There a mirror is taken into the cache (zoo mirror --from DIR), or the weights of models are used
    in place (ZOO_REGISTRY=DIR/registry.toml). Every file is verified on the way.
    """
    from zoo.hub import mirror

    out = Out("json" if as_json else "table")
    if (to is None) == (origin is None):
        raise UsageError(
            "say where to", hint="zoo mirror MODEL ... --to DIR, or zoo mirror --from DIR"
        )
    if origin is not None:
        items = mirror.read_mirror(origin, references)
        _show(out, items, f"taken from {origin}")
        return
    assert to is not None
    if not references:
        raise UsageError("say which weights", hint="zoo mirror MODEL ... --to DIR")
    with Live(show=not as_json) as live:
        items = mirror.write_mirror(
            references,
            to,
            registry.load(),
            progress=partial(live.bytes, "download"),
            note=live.line,
        )
    _show(out, items, _use(items, to))


def _use(items: list[Item], folder: Path) -> str:
    """How a mirror is used: hub: references only once they are in the Hub's cache."""
    taken = f"zoo mirror --from {shlex.quote(str(folder))}"
    placed = f"ZOO_REGISTRY={shlex.quote(str(folder / 'registry.toml'))}"
    models = [item.reference for item in items if item.kind == "weights"]
    if not models:
        return f"use it: {taken}"
    if len(models) == len(items):
        return f"use it: {placed}, or {taken}"
    return f"use it: {taken}; without that, {placed} serves {', '.join(models)} only"


def _show(out: Out, items: list[Item], said: str) -> None:
    if out.form == "json":
        out.json([asdict(item) for item in items])
        return
    rows = [(i.reference, i.path, size(i.bytes), i.digest[:12], i.licence) for i in items]
    columns = ("reference", "file", "size", "digest", "licence")
    out.table(columns, rows, right=("size",))
    out.note(said)
