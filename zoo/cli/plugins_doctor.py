"""``zoo plugins doctor``: try each plugin where it can do no harm."""

from __future__ import annotations

from dataclasses import asdict

import click

from zoo.cli.output import Out
from zoo.core import discovery
from zoo.core.probe import probe
from zoo.errors import PluginError


@click.command("doctor")
@click.option(
    "--timeout", type=click.FloatRange(0.1), default=30.0, help="Seconds for each plugin.  [30]"
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def doctor(*, timeout: float, as_json: bool) -> int:
    """Load every installed plugin in a process of its own; exit code 4 if one fails.

    Finds what stops every other command: a plugin that ends the process, crashes or hangs while
    it is imported.
    """
    out = Out("json" if as_json else "table")
    found = [probe(point, timeout=timeout) for point in discovery.find()]
    if as_json:
        out.json([asdict(one) for one in found])
    else:
        rows = [(p.name, p.distribution, f"{p.seconds:.2f}", p.state, p.error) for p in found]
        out.table(("plugin", "distribution", "s", "state", "error"), rows, right=("s",))
    bad = [one for one in found if not one.ok]
    if not bad:
        return 0
    if as_json:
        return PluginError.exit_code
    first = bad[0]
    raise PluginError(
        f"{len(bad)} of {len(found)} plugins do not load; {first.name}: {first.error}",
        hint=f"zoo plugins disable {first.name}, or pip uninstall {first.distribution}",
    )
