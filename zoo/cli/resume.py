"""``zoo resume``: go on where a run was stopped."""

from __future__ import annotations

import click

from zoo.cli.output import Out


@click.command("resume")
@click.argument("run")
@click.option("--dir", "runs", default="runs", metavar="FOLDER", help="Where runs lie.  [runs]")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def command(run: str, runs: str, *, as_json: bool) -> int:
    """Go on with RUN (a name or a folder) from its last whole checkpoint.

    A finished run says so and exits with 0, so that a supervisor may always call it.
    """
    from zoo.cli.training import run_and_show
    from zoo.engine.weights import run_folder

    return run_and_show(
        Out("json" if as_json else "table"), "resume", None, resume=run_folder(run, runs)
    )
