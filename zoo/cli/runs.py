"""``zoo runs``: the runs of a folder, with their results."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import click

from zoo.cli.output import Out
from zoo.core.names import natural_key
from zoo.errors import UsageError


@click.command("runs")
@click.option("--dir", "runs", default="runs", metavar="FOLDER", help="Where runs lie.  [runs]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--names", "as_names", is_flag=True, help="Print names only.")
def command(runs: str, *, as_json: bool, as_names: bool) -> None:
    """List runs: model, data, epochs, best result, state."""
    out = Out("json" if as_json else "names" if as_names else "table")
    folders = sorted((p.parent for p in Path(runs).glob("*/recipe.toml")), key=_order)
    found = [describe(folder) for folder in folders]
    if out.form == "json":
        out.json(found)
    elif out.form == "names":
        for run in found:
            out.line(run["name"])
    elif not found:
        out.note(f"no runs in {runs}/; zoo finetune makes one")
    else:
        rows = [
            (
                run["name"],
                run["verb"],
                run["model"],
                run["data"],
                f"{run['epochs_done']}/{run['epochs']}",
                "" if run["best"] is None else f"{run['monitor']} {run['best']:.4g}",
                run["state"],
            )
            for run in found
        ]
        out.table(("run", "verb", "model", "data", "epochs", "best", "state"), rows)


def _order(folder: Path) -> Any:
    return natural_key(folder.name)


def describe(folder: Path) -> dict[str, Any]:
    """What a run folder says about itself, without torch.

    Args:
        folder: The run's folder.
    """
    from zoo.core.compose import read_recipe

    try:
        verb, recipe = read_recipe(folder / "recipe.toml")
    except UsageError as error:
        return {
            "name": folder.name,
            "verb": "",
            "model": "",
            "data": "",
            "epochs": 0,
            "epochs_done": 0,
            "monitor": "",
            "best": None,
            "state": error.message,
        }
    from zoo.engine.history import epoch_rows

    rows = list(epoch_rows(folder))
    monitor = str(recipe.get("output.monitor", "top1"))
    best = [
        row["val"][monitor] for row in rows if row.get("best") and monitor in (row["val"] or {})
    ]
    return {
        "name": folder.name,
        "verb": verb,
        "model": recipe.get("model.name", ""),
        "data": recipe.get("data.source", ""),
        "epochs": recipe.get("optim.epochs", 0),
        "epochs_done": rows[-1]["epoch"] + 1 if rows else 0,
        "monitor": monitor,
        "best": best[-1] if best else None,
        "state": _state(folder),
    }


def _state(folder: Path) -> str:
    """How a run ended, or that it did not."""
    try:
        result = json.loads((folder / "result.json").read_bytes())
    except FileNotFoundError:
        return "can be resumed"
    except (OSError, ValueError):
        return "its result cannot be read"
    early = isinstance(result, dict) and result.get("stopped_early")
    return "done, stopped early" if early else "done"
