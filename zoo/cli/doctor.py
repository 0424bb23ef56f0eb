"""``zoo doctor``: examine images before training on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from zoo.cli.options import keyword_values, named_data_options
from zoo.cli.output import Out
from zoo.cli.progress import Live
from zoo.core import registry
from zoo.core.recipe import DataPart
from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.data.doctor import Examination

_SHOWN = 50


@named_data_options
@click.command("doctor")
@click.argument("data", metavar="[DATA]", required=False)
@click.option("--val", metavar="FOLDER", help="A folder of validation images.")
@click.option("--classes", type=click.IntRange(1), help="Number of classes there should be.")
@click.option(
    "--max-pixels", type=click.IntRange(1), default=DataPart().max_pixels, help="Largest image."
)
@click.option("--allow-empty", is_flag=True, help="Accept class folders without images.")
@click.option("--data-root", metavar="FOLDER", help="Folder in which named data sets lie.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    data: str | None,
    val: str | None,
    classes: int | None,
    max_pixels: int,
    allow_empty: bool,
    data_root: str | None,
    as_json: bool,
    **named: Any,
) -> int:
    """Check DATA: a folder, a .csv or the name of a data set; default: ./data.

    Every file is read and decoded. Exit code 3 if training would stop on what was found.
    """
    from zoo.data.doctor import examine
    from zoo.engine.cores import usable_cores

    out = Out("json" if as_json else "table")
    given = keyword_values(named)
    part = DataPart(
        source=data,
        val=val,
        max_pixels=max_pixels,
        allow_empty=allow_empty,
        root=data_root,
        options=given.get("data_option", {}),
        download=bool(given.get("download")),
    )
    with Live(show=not as_json) as live:
        found = examine(
            part,
            registry=registry.load(),
            classes=classes,
            threads=usable_cores(),
            progress=lambda what, done, total: live.update(what, done, total, f"{done}/{total}"),
        )
    if as_json:
        out.json(found.to_dict())
    else:
        _print(out, found)
    return 0 if found.ok else DataError.exit_code


def _print(out: Out, found: Examination) -> None:
    for role, counts in found.counts.items():
        numbers = sorted(counts.values())
        spread = f", {numbers[0]} to {numbers[-1]} each" if numbers else ""
        out.line(f"{role}: {sum(numbers):,} images in {len(counts)} classes{spread}")
    out.pairs(
        [
            ("files", ", ".join(f"{count:,} {kind}" for kind, count in found.formats.items())),
            ("sizes", ", ".join(f"{k} {a} to {b}" for k, (a, b) in found.sizes.items())),
            ("same bytes", f"{len(found.duplicates)} groups" if found.duplicates else ""),
            ("fingerprint", found.fingerprint),
        ]
    )
    for group in found.duplicates[:_SHOWN]:
        out.line(f"  same: {' = '.join(group)}")
    for line in found.notes:
        out.line(f"note: {line}")
    for line in found.warnings:
        out.line(f"warning: {line}")
    for where, reason in list(found.problems.items())[:_SHOWN]:
        out.line(f"problem: {where}: {reason}")
    if len(found.problems) > _SHOWN:
        out.line(f"and {len(found.problems) - _SHOWN} more problems (--json lists them all)")
    if found.ok:
        out.line("fit to train on")
    for hint in filter(None, dict.fromkeys(found.hints)):
        out.line(f"hint: {hint}")
