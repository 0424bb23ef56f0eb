"""``zoo cache``: show and prune what zoo has stored."""

from __future__ import annotations

import math
from dataclasses import asdict
from typing import TYPE_CHECKING

import click

from zoo.cli.output import Out, size
from zoo.errors import UsageError

if TYPE_CHECKING:
    from zoo.hub.prune import Stored


@click.command("cache")
@click.argument("names", nargs=-1)
@click.option("--prune", is_flag=True, help="Delete; without NAMES only what nobody needs.")
@click.option(
    "--older-than", type=float, metavar="DAYS", help="Only what was not used for so long."
)
@click.option("--all", "everything", is_flag=True, help="All that zoo has stored.")
@click.option("--dry-run", is_flag=True, help="With --prune: say what would go.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    names: tuple[str, ...],
    prune: bool,
    older_than: float | None,
    everything: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Show what zoo has stored, or delete some of it.

    NAMES are words in an entry's name. Without them --prune takes half downloads and commits that
    no branch, tag or pin means any more. What other tools put into the Hub's cache is left alone.
    """
    from zoo.hub import prune as store

    out = Out("json" if as_json else "table")
    if older_than is not None and not 0 <= older_than < math.inf:
        raise UsageError(
            f"--older-than: {older_than:g} is no number of days", hint="--older-than 30"
        )
    found = store.inventory()
    if not prune:
        shown = [f for f in found if not names or any(n in f.name for n in names)]
        _show(out, shown)
        return
    chosen = store.choose(found, names=names, older_than=older_than, everything=everything)
    _show(out, chosen)
    if dry_run:
        out.note(f"would free {size(sum(i.bytes for i in chosen))} in {len(chosen)} entries")
        return
    done = store.remove(chosen)
    out.note(f"freed {size(done.bytes)} in {done.entries} entries")
    if done.used:
        out.note(f"left, since another process uses it: {', '.join(done.used)}")
    if done.refused:
        raise done.refused[0]


def _show(out: Out, found: list[Stored]) -> None:
    if out.form == "json":
        out.json([asdict(item) for item in found])
        return
    rows = [
        (i.kind, i.name, size(i.bytes), f"{i.age_days:.0f}", "" if i.current else "no name")
        for i in found
    ]
    columns = ("kind", "name", "size", "days", "state")
    out.table(columns, rows, right=("size", "days"))
    if not found:
        out.note("nothing")
