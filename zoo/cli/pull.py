"""``zoo pull``: fetch and verify weights."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING

import click

from zoo.cli.options import complete_model
from zoo.cli.output import Out, size
from zoo.cli.progress import Live
from zoo.core import registry, settings
from zoo.errors import HubError, ZooError

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
    found: list[Got] = []
    try:
        with Live(show=not as_json) as live:
            _fetch(references, live, found, locked=locked, allow_pickle=allow_pickle)
    except ZooError as error:
        if not (as_json and found):
            raise
        pulled = [asdict(got) for got in found]
        told = {"error": error.message, "hint": error.hint, "exit_code": error.exit_code}
        out.json({"pulled": pulled, **told})  # one document, and what came is in it
        raise click.exceptions.Exit(error.exit_code) from error
    finally:
        for got in () if as_json else found:
            _show(out, got)
    if as_json:
        out.json([asdict(got) for got in found])


def _fetch(
    references: Sequence[str], live: Live, found: list[Got], *, locked: bool, allow_pickle: bool
) -> None:
    """Fetch one after the other; what came is in ``found``, whatever happens to the next.

    Raises:
        ZooError: One of them cannot be fetched.
    """
    from zoo.hub.get import get

    known = registry.load()
    for name in references:
        shown = partial(live.bytes, name)
        got = get(
            name, known, locked=locked, allow_pickle=allow_pickle, progress=shown, note=live.line
        )
        found.append(got)


def _show(out: Out, got: Got) -> None:
    for said in got.notes:
        out.note(f"note: {said}")
    at = f"{got.revision[:12]}  " if got.revision else ""
    licence = got.licence or "licence not stated"
    out.line(f"{got.reference}  {at}{size(got.bytes)}  sha256 {got.sha256[:12]}  {licence}")
    out.line(f"  {got.path}")


def _look(out: Out, references: Sequence[str], locked: bool) -> None:
    """What is here, missing, damaged or refused, in one table; no request is made.

    Raises:
        HubError: Something is not as it should be.
    """
    from zoo.hub.failures import DamagedError, MissingError
    from zoo.hub.get import get

    known = registry.load()
    rows: list[tuple[str, str, str, str]] = []
    found: dict[str, HubError] = {}
    for name in references:
        try:
            got = get(name, known, locked=locked)
            rows.append((name, "cached", size(got.bytes), str(got.path)))
        except HubError as error:
            state = {MissingError: "missing", DamagedError: "damaged"}.get(type(error), "refused")
            found[state] = error
            rows.append((name, state, "", error.message.removeprefix("offline mode: ")))
    if out.form == "json":
        keys = ("reference", "state", "size", "detail")
        out.json([dict(zip(keys, row, strict=True)) for row in rows])
    else:
        out.table(("reference", "state", "size", "where"), rows, right=("size",))
    if found and out.form == "json":
        raise click.exceptions.Exit(HubError.exit_code)
    if found:
        counts = Counter(row[1] for row in rows)
        said = ", ".join(f"{counts[s]} of {len(rows)} are {s}" for s in sorted(found, reverse=True))
        raise HubError(f"offline mode: {said}", hint=_way_on(found))


def _way_on(found: dict[str, HubError]) -> str:
    """The hint for what is not as it should be, by its state."""
    ways = []
    if "missing" in found:
        ways.append("pull them where the network is, or carry them over: zoo mirror MODEL --to DIR")
    if "damaged" in found:
        ways.append("zoo verify --remove deletes what is damaged; the next pull fetches it")
    if "refused" in found and found["refused"].hint:
        ways.append(found["refused"].hint)
    return "; ".join(ways)
