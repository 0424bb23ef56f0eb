"""``zoo pull``: fetch and verify weights."""

from __future__ import annotations

import os
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import click

from zoo.cli.options import complete_model
from zoo.cli.output import Out, size
from zoo.cli.progress import Live
from zoo.core import registry, settings
from zoo.errors import HubError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.hub.get import Got


@click.command("pull")
@click.argument("references", nargs=-1, required=True, shell_complete=complete_model)
@click.option("--locked", is_flag=True, help="Accept only what zoo lock has pinned.")
@click.option(
    "--allow-pickle",
    is_flag=True,
    help="Accept a pickle: read without running code, converted to safetensors once.",
)
@click.option("--offline", is_flag=True, help="Only look: list what is cached and what is missing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    references: tuple[str, ...], locked: bool, allow_pickle: bool, offline: bool, as_json: bool
) -> None:
    """Fetch and verify the weights of REFERENCES: resnet18[:TAG] or hub:ORG/REPO[@REVISION].

    A killed pull goes on where it stopped. Files lie in the Hub client's own cache, where other
    tools find them.
    """
    out = Out("json" if as_json else "table")
    if offline:
        os.environ["ZOO_OFFLINE"] = "1"
    if settings.offline():
        _look(out, references, locked)
        return
    found = _fetch(references, locked=locked, allow_pickle=allow_pickle, show=not as_json)
    if as_json:
        out.json([asdict(got) for got in found])
        return
    for got in found:
        _show(out, got)


def _fetch(references: Sequence[str], *, locked: bool, allow_pickle: bool, show: bool) -> list[Got]:
    from zoo.hub.get import get

    known = registry.load()
    with Live(show=show) as live:
        return [
            get(
                name,
                known,
                locked=locked,
                allow_pickle=allow_pickle,
                progress=partial(live.bytes, name),
                note=live.line,
            )
            for name in references
        ]


def _show(out: Out, got: Got) -> None:
    for said in got.notes:
        out.note(f"note: {said}")
    at = f"{got.revision[:12]}  " if got.revision else ""
    licence = got.licence or "licence not stated"
    out.line(f"{got.reference}  {at}{size(got.bytes)}  sha256 {got.sha256[:12]}  {licence}")
    out.line(f"  {got.path}")


def _look(out: Out, references: Sequence[str], locked: bool) -> None:
    """What is here and what is missing, in one table; no request is made.

    Raises:
        HubError: Something is missing.
    """
    from zoo.hub.get import get

    known = registry.load()
    rows, missing = [], 0
    for name in references:
        try:
            got = get(name, known, locked=locked)
            rows.append((name, "cached", size(got.bytes), str(got.path)))
        except HubError as error:
            missing += 1
            rows.append((name, "missing", "", error.message.removeprefix("offline mode: ")))
    if out.form == "json":
        keys = ("reference", "state", "size", "detail")
        out.json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        out.table(("reference", "state", "size", "where"), rows, right=("size",))
    if missing and out.form != "json":
        raise HubError(
            f"offline mode: {missing} of {len(rows)} are missing",
            hint="pull them where the network is, or carry them over: zoo mirror MODEL --to DIR",
        )
    if missing:
        raise click.exceptions.Exit(HubError.exit_code)
