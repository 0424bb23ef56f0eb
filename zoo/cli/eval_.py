"""``zoo eval``: measure a run on labelled images."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from zoo.cli.opened import opened
from zoo.cli.options import TTA, complete_trained, keyword_values, named_data_options
from zoo.cli.output import Out
from zoo.cli.progress import Live, images_done
from zoo.cli.timings import show, started
from zoo.core import registry
from zoo.core.recipe import DataPart


@named_data_options
@click.command("eval")
@click.argument("model", shell_complete=complete_trained)
@click.option("--data", metavar="SOURCE", help="Images; default: the run's own validation images.")
@click.option("--split", default="val", metavar="NAME", help="Split of the data.  [val]")
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help="Further metrics (zoo list --kind metric); default: the run's.",
)
@click.option("--data-root", metavar="FOLDER", help="Folder in which named data sets lie.")
@click.option("--batch-size", type=click.IntRange(1), help="Images at a time; default: the run's.")
@click.option("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    help="Autocast precision; default: the run's, so that its images give its numbers.",
)
@click.option(
    "--on-bad-image",
    type=click.Choice(["error", "skip"]),
    help="List unreadable images and stop, or skip them; default: as the run did.",
)
@click.option(
    "--report",
    type=click.Path(path_type=Path),
    metavar="FILE.html",
    help="Write a page with all numbers, charts and the surest mistakes.",
)
@click.option(
    "--corruptions",
    is_flag=True,
    help="Also on images that are spoilt: noisy, blurred, bright, pale, coarse, compressed.",
)
@TTA
@click.option("--worst", type=click.IntRange(0), default=10, help="Classes to list.  [10]")
@click.option("--dir", "runs", default="runs", metavar="FOLDER", help="Where runs lie.  [runs]")
@click.option("--timings", is_flag=True, help="Show at the end where the time went.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, all classes included.")
def command(
    model: str,
    runs: str,
    timings: bool,
    as_json: bool,
    worst: int,
    metrics: tuple[str, ...],
    report: Path | None,
    **options: Any,
) -> None:
    """Measure MODEL on labelled images: top-1, top-5, loss, and each class.

    MODEL is a run (a name, a folder or a file), hub:ORG/REPO, or a name of zoo list, with the
    weights of its tag or its default ones.

    Images are matched to the model's classes by the names of their folders.
    """
    from zoo.api import evaluate

    out = Out("json" if as_json else "table")
    if report is not None:
        from zoo.report.target import check_target

        check_target(report)
    registry.load()
    named = [name for text in metrics for name in text.split(",") if name]
    clock = started() if timings else None
    opening = {key: options.pop(key) for key in ("data_option", "download")}
    options |= keyword_values(opening)
    data = DataPart(source=options["data"], root=options["data_root"])
    parts = [("metric", name) for name in named]
    loaded = opened(model, runs, show=not as_json, data=data, parts=parts, device=options["device"])
    if clock:
        clock.lap("weights")
    with Live(show=not as_json) as live:
        done = partial(images_done, live, "spoilt images")
        found = evaluate(loaded, metric=named or None, report=report, progress=done, **options)
    if clock:
        clock.lap("evaluate")
        show(out, clock.to_dict())
    if as_json:
        out.json(found.to_dict())
        return
    for note in found.notes:
        out.note(f"note: {note}")
    numbers = found.evaluation
    five = len(found.classes) > 5  # else every image is among the first five
    out.pairs(
        [
            ("data", f"{found.data}, {numbers.n:,} images, {len(found.classes)} classes"),
            ("top-1", "" if numbers.top1 is None else f"{100 * numbers.top1:.2f} %"),
            ("top-5", f"{100 * numbers.top5:.2f} %" if numbers.top5 is not None and five else ""),
            ("loss", f"{numbers.loss:.4f}"),
            ("macro F1", "" if found.macro_f1 is None else f"{found.macro_f1:.4f}"),
            *((name, f"{value:.4f}") for name, value in numbers.metrics.items()),
            ("report", found.report or ""),
        ]
    )
    every = sorted((s.recall, s.name, s.n) for s in found.scores if s.recall is not None)
    if rows := every[:worst]:
        out.line("\nleast recognised classes" if len(rows) < len(every) else "\nclasses")
        table = [(f"  {name}", n, f"{100 * share:.1f} %") for share, name, n in rows]
        out.table(("  class", "images", "recognised"), table, right=("images", "recognised"))
    if found.robustness is not None:
        _spoilt(out, found.robustness)


def _spoilt(out: Out, found: Any) -> None:
    """Print what is left on spoilt images; ``found`` is a :class:`zoo.engine.judging.robustness.Robustness`."""
    shares = found.to_dict()["corruptions"]
    heads = ("  spoilt by", *next(iter(shares.values())))
    rows = [
        (f"  {kind}", *(f"{100 * v:.1f} %" for v in row.values())) for kind, row in shares.items()
    ]
    out.line(f"\ntop-1 on spoilt images: {100 * found.mean:.1f} % on average, as they are "
             f"{100 * found.clean:.1f} %")  # fmt: skip
    out.table(heads, rows, right=heads[1:])
