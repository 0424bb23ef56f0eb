"""``zoo lock``: pin weights by commit and digest."""

from __future__ import annotations

from dataclasses import asdict
from functools import partial
from pathlib import Path

import click

from zoo.cli.options import complete_model
from zoo.cli.output import Out, size
from zoo.cli.progress import Live
from zoo.core import registry


@click.command("lock")
@click.argument("references", nargs=-1, shell_complete=complete_model)
@click.option(
    "--to",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Overlay to write; default: ZOO_REGISTRY's last, else ./registry.toml.",
)
@click.option("--check", is_flag=True, help="Write nothing; exit 11 if something moved.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(references: tuple[str, ...], to: Path | None, check: bool, as_json: bool) -> None:
    """Pin REFERENCES (models, MODEL:TAG or hub:ORG/REPO[@REV]) at what they are now.

    Without references, everything that the file pins already is pinned anew. `zoo pull --locked`
    accepts nothing else, and every other command uses the pins.
    """
    from zoo.errors import VerificationError
    from zoo.hub import lock as locks

    out = Out("json" if as_json else "table")
    path = to or locks.overlay_path()
    wanted = references or locks.lock_all(path)
    with Live(show=not as_json) as live:
        found = locks.lock(
            wanted,
            registry.load(),
            path,
            progress=partial(live.bytes, "download"),
            note=live.line,
            write=not check,
        )
    if as_json:
        out.json([asdict(item) | {"state": item.state} for item in found])
    else:
        rows = [
            (i.reference, i.state, i.revision[:12], i.sha256[:12], size(i.bytes), i.licence)
            for i in found
        ]
        columns = ("reference", "state", "commit", "sha256", "size", "licence")
        out.table(columns, rows, right=("size",))
    moved = [item.reference for item in found if item.state != "same"]
    if check and moved:
        raise VerificationError(
            f"{len(moved)} of {len(found)} are not as they were pinned: {', '.join(moved[:3])}",
            hint="zoo lock pins what is there now",
        )
    if not check:
        out.note(
            f"wrote {path}"
            + (
                ""
                if locks.is_user_overlay(path)
                else ", which zoo does not read by itself: ZOO_REGISTRY names overlays"
            )
        )
