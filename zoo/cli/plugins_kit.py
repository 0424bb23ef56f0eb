"""``zoo plugins new`` and ``zoo plugins check``: start a plugin, and hold it to the contract."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from zoo.cli.output import Out
from zoo.core import registry
from zoo.errors import UsageError, VerificationError

if TYPE_CHECKING:
    from zoo.testing import Answer, Settings


@click.command("new")
@click.argument("name")
@click.option(
    "--with",
    "brings",
    default="model,loss",
    show_default=True,
    metavar="KINDS",
    help="What it brings, comma-separated: model, loss, dataset, transform, optimizer, scheduler, "
    "metric, tracker, exporter, command, hooks.",
)
@click.option(
    "--dir", "folder", type=click.Path(path_type=Path), help="Where to write; default: zoo-NAME."
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def new(name: str, brings: str, folder: Path | None, *, as_json: bool) -> None:
    """Write a new plugin's project; it installs, tests green and lists at once."""
    from zoo.testing.scaffold import new_plugin

    out = Out("json" if as_json else "table")
    place = folder or Path(f"zoo-{name.removeprefix('zoo-')}")
    kinds = [kind.strip() for kind in brings.split(",") if kind.strip()]
    written = new_plugin(name, kinds, place)
    if as_json:
        out.json({"folder": place, "files": written})
        return
    for path in written:
        out.line(str(path))
    out.note(f"next: pip install -e {place} && zoo plugins check {name.removeprefix('zoo-')}")


@click.command("check")
@click.argument("target", metavar="NAME|FOLDER")
@click.option("--part", "parts", multiple=True, metavar="GLOB", help="Only these parts.")
@click.option(
    "--root",
    "roots",
    multiple=True,
    metavar="DATASET=FOLDER",
    help="Where a data set's files lie (repeatable).",
)
@click.option(
    "--max-params",
    type=int,
    metavar="N",
    help="Larger models are only built on the meta device; default: 30000000.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("-v", "--verbose", is_flag=True, help="Also list what holds.")
def check(
    target: str,
    parts: tuple[str, ...],
    roots: tuple[str, ...],
    max_params: int | None,
    *,
    as_json: bool,
    verbose: bool,
) -> int:
    """Ask a plugin everything that zoo expects of it: an installed one, or a project's folder.

    Raises:
        VerificationError: Something does not hold.
    """
    from zoo.testing import check_plugin
    from zoo.testing.project import as_installed

    out = Out("json" if as_json else "table")
    settings = _settings(parts, roots, max_params)
    answers: list[Answer] = []
    with ExitStack() as stack:
        known = {info.name for info in registry.load().plugins}
        is_folder = target not in known and Path(target, "pyproject.toml").exists()
        names = stack.enter_context(as_installed(Path(target))) if is_folder else (target,)
        for name in names:
            for answer in check_plugin(name, settings):
                answers.append(answer)
                if not as_json:
                    _say(out, answer, verbose=verbose)
    failed = any(answer.state == "failed" for answer in answers)
    if as_json:
        out.json([asdict(answer) for answer in answers])
        return VerificationError.exit_code if failed else 0
    _conclude(out, answers)
    return 0


def _settings(parts: tuple[str, ...], roots: tuple[str, ...], max_params: int | None) -> Settings:
    from zoo.testing import Settings

    folders: dict[str, str] = {}
    for text in roots:
        name, sign, folder = text.partition("=")
        if not (name and sign and folder):
            raise UsageError(f"--root {text!r} is not DATASET=FOLDER")
        folders[name] = folder
    made = Settings(parts=parts or ("*",), roots=folders)
    if max_params is None:
        return made
    return Settings(parts=made.parts, roots=folders, max_params=max_params)


def _say(out: Out, answer: Answer, *, verbose: bool) -> None:
    sign = {"ok": "ok", "failed": "FAILED", "skipped": "skipped"}[answer.state]
    if answer.state == "ok" and not verbose:
        return
    reason = f": {answer.text}" if answer.text else ""
    out.line(f"{sign:8}{answer.subject}: {answer.question}{reason}")
    if answer.hint:
        out.line(f"{'':8}hint: {answer.hint}")


def _conclude(out: Out, answers: list[Answer]) -> None:
    counts = {
        state: sum(a.state == state for a in answers) for state in ("ok", "failed", "skipped")
    }
    text = f"{counts['ok']} hold, {counts['failed']} fail, {counts['skipped']} skipped"
    if counts["failed"]:
        first = next(a for a in answers if a.state == "failed")
        raise VerificationError(text, hint=f"first: {first.subject}: {first.question}")
    out.note(text)
