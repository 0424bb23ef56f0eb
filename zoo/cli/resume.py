"""``zoo resume``: go on where a run was stopped."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

import click

from zoo.cli.output import Out
from zoo.core import compose

if TYPE_CHECKING:
    from pathlib import Path


@click.command("resume")
@click.argument("run")
@click.option("--dir", "runs", default="runs", metavar="FOLDER", help="Where runs lie.  [runs]")
@click.option(
    "--nproc",
    type=click.IntRange(1),
    metavar="N",
    help="Go on with N processes on this machine.  [as the run began]",
)
@click.option("--retries", type=click.IntRange(0), default=0, help="Restarts with --nproc.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(run: str, runs: str, *, nproc: int | None, retries: int, as_json: bool) -> int:
    """Go on with RUN (a name or a folder) from its last whole checkpoint.

    A finished run says so and exits with 0, so that a supervisor may always call it; if its
    model.safetensors is gone or damaged, it is written again, where that can be. A run of
    several processes goes on with as many, or with --nproc of them: the images of each step stay
    the same.
    """
    from zoo.cli.training import run_and_show
    from zoo.engine.start.stored import run_folder

    folder = run_folder(run, runs)
    processes = 1 if (folder / "result.json").is_file() else nproc or _processes(folder)
    if processes > 1 and "RANK" not in os.environ:
        from zoo.engine.processes.launch import launch

        return launch(processes, sys.argv[1:], retries=retries)
    return run_and_show(Out("json" if as_json else "table"), "resume", None, resume=folder)


def _processes(folder: Path) -> int:
    """How many processes the run began with; 1 if it has no recipe."""
    if not (folder / "recipe.toml").is_file():
        return 1
    verb, table = compose.read_recipe(folder / "recipe.toml")
    return compose.compose(verb or "finetune", [("recipe", table)]).recipe.device.nproc
