"""``zoo diff``: two runs side by side, where they differ."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from zoo.cli.output import Out
from zoo.cli.runs import describe
from zoo.core.compose import read_recipe
from zoo.errors import CheckpointError

_MISSING = "-"


@click.command("diff")
@click.argument("one")
@click.argument("other")
@click.option("--dir", "runs", default="runs", metavar="FOLDER", help="Where runs lie.  [runs]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(one: str, other: str, runs: str, *, as_json: bool) -> None:
    """Show in which recipe fields and results runs ONE and OTHER differ.

    Either may also be a recipe file.
    """
    out = Out("json" if as_json else "table")
    left, right = _read(one, runs), _read(other, runs)
    keys = [key for key in {**left, **right} if left.get(key) != right.get(key)]
    rows = [(key, left.get(key, _MISSING), right.get(key, _MISSING)) for key in keys]
    if as_json:
        out.json({key: [a, b] for key, a, b in rows})
    elif rows:
        out.table(("field", one, other), rows)
    else:
        out.line("no difference")


def _read(name: str, runs: str) -> dict[str, Any]:
    path = Path(name)
    if path.is_file():
        return {key: _flat(value) for key, value in read_recipe(path)[1].items()}
    folder = next((f for f in (Path(runs, name), path) if (f / "recipe.toml").is_file()), None)
    if folder is None:
        raise CheckpointError(f"no run {name!r} in {runs}/", hint="zoo runs")
    verb, recipe = read_recipe(folder / "recipe.toml")
    about = describe(folder)
    found = {"verb": verb, **{key: _flat(value) for key, value in recipe.items()}}
    return {**found, "result.epochs": about["epochs_done"], "result.best": about["best"]}


def _flat(value: Any) -> Any:
    if isinstance(value, list):
        return ", ".join(map(str, value))
    if isinstance(value, dict):
        return ", ".join(f"{k}={v}" for k, v in value.items())
    return value
