"""``zoo verify``: check cached weights and runs, offline."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.output import Out, size
from zoo.core.metadata import WEIGHTS_FILE
from zoo.errors import CheckpointError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from zoo.hub.verify import Checked, State


@click.command("verify")
@click.argument("targets", nargs=-1, metavar="[RUN|FILE|NAME]...")
@click.option("--remove", is_flag=True, help="Delete damaged files of the cache.")
@click.option("--dir", "runs", default="runs", metavar="FOLDER", help="Where runs lie.  [runs]")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(targets: tuple[str, ...], remove: bool, runs: str, as_json: bool) -> None:
    """Hash again what is stored, and compare: runs, checkpoint files, or cached weights.

    Without TARGETS the whole cache is checked. A NAME is a word in a cached file's name or a
    hub:ORG/REPO. No network is used. Exit code 11 if something is damaged.
    """
    from zoo.hub import verify as hub

    out = Out("json" if as_json else "table")
    local = {t: paths for t in targets if (paths := _local(t, runs))}
    found: list[Checked] = [_checkpoint(path) for paths in local.values() for path in paths]
    names = [t for t in targets if t not in local]
    if names or not targets:
        found += hub.verify_cache(names)
    if names and not found:
        raise CheckpointError(
            f"nothing cached and no run is called {', '.join(names)}", hint="zoo cache, zoo runs"
        )
    _show(out, found)
    bad = [one for one in found if one.state == "damaged"]
    if bad and remove:
        gone = hub.remove_damaged([one for one in bad if not _is_checkpoint(one, local.values())])
        out.note(f"removed {len(gone)} damaged files")
    if bad:
        raise VerificationError(
            f"{len(bad)} of {len(found)} files are damaged",
            hint="" if remove else _hint(bad, local.values()),
        )


def _local(target: str, runs: str) -> list[Path]:
    """The checkpoint files of a run, or a file; empty if it is neither."""
    text = target.removeprefix("run:").removeprefix("file:")
    for path in (Path(text).expanduser(), Path(runs) / text):
        if path.is_file():
            return [path]
        files = sorted(path.glob("checkpoints/*.safetensors")) if path.is_dir() else []
        weights = path / WEIGHTS_FILE
        if files or weights.is_file():
            return [*files, *([weights] if weights.is_file() else [])]
    return []


def _checkpoint(path: Path) -> Checked:
    """A checkpoint of ours against the digest that it states of itself."""
    from zoo.hub.stamp import states_itself
    from zoo.hub.verify import Checked

    try:
        good = states_itself(path)
        detail = {None: "it states no digest", True: ""}.get(good, "it is not what it states to be")
    except CheckpointError as error:
        good, detail = False, error.message.removeprefix(f"{path} ")
    state: State = "unknown" if good is None else "ok" if good else "damaged"
    return Checked(name=str(path), path=path, state=state, bytes=path.stat().st_size, detail=detail)


def _hint(bad: list[Checked], local: Iterable[list[Path]]) -> str:
    """What brings damaged files back: a run's by its own way, the cache's by the next pull."""
    from zoo.engine.saving.repair import way_back

    ways = [way_back(one.path) for one in bad if _is_checkpoint(one, local)]
    if len(ways) < len(bad):
        ways.append("zoo verify --remove deletes cached files; the next pull fetches them")
    return "\n".join(dict.fromkeys(ways))


def _is_checkpoint(one: Checked, paths: Iterable[list[Path]]) -> bool:
    return any(one.path in group for group in paths)


def _show(out: Out, found: list[Checked]) -> None:
    if out.form == "json":
        out.json([asdict(one) for one in found])
        return
    rows = [(one.state, one.name, size(one.bytes), one.detail) for one in found]
    out.table(("state", "file", "size", "detail"), rows, right=("size",))
    if not found:
        out.line("nothing is cached")
