"""``zoo predict``: classify images."""

from __future__ import annotations

from typing import Any

import click

from zoo.cli.opened import opened
from zoo.cli.options import TTA, complete_trained, image_options
from zoo.cli.output import Out, one_line
from zoo.cli.timings import show, started


@click.command("predict")
@click.argument("model", shell_complete=complete_trained)
@click.argument("images", nargs=-1, required=True, type=click.Path())
@click.option("--top", type=click.IntRange(1), default=3, help="Classes to show.  [3]")
@TTA
@image_options
@click.option("--timings", is_flag=True, help="Show at the end where the time went.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
@click.option("--csv", "as_csv", is_flag=True, help="Print comma-separated lines.")
def command(
    model: str,
    images: tuple[str, ...],
    runs: str,
    timings: bool,
    as_json: bool,
    as_csv: bool,
    **options: Any,
) -> None:
    """Classify IMAGES (files or folders) with MODEL.

    MODEL is a run (a name, a folder or a file), hub:ORG/REPO, or a name of zoo list, with the
    weights of its tag or its default ones.

    Where an image lies in a folder named after one of the classes, that is shown as the actual
    class.
    """
    out = Out("json" if as_json else "table")
    clock = started() if timings else None
    show_it = not (as_json or as_csv)
    loaded = opened(model, runs, show=show_it, images=images, device=options["device"])
    from zoo.api import predict

    if clock:
        clock.lap("weights")
    found = predict(loaded, images, note=lambda text: out.note(f"note: {text}"), **options)
    if clock:
        clock.lap("predict")
        show(out, clock.to_dict())
    if as_json:
        out.json(
            [
                {"image": p.image, "top": [list(pair) for pair in p.top], "actual": p.actual}
                for p in found
            ]
        )
    elif as_csv:
        _csv(found)
    else:
        for one in found:
            shares = ", ".join(f"{one_line(name)} {100 * share:.1f} %" for name, share in one.top)
            if one.actual is None:
                out.line(f"{one_line(one.image)}: {shares}")
            else:
                said = f'Predicted: "{one_line(one.label)}", Actual: "{one_line(one.actual)}"'
                out.line(f"{one_line(one.image)}: {said}  ({shares})")


def _csv(found: Any) -> None:
    import csv
    import sys

    writer = csv.writer(sys.stdout)
    writer.writerow(["image", "rank", "class", "probability", "actual"])
    for one in found:
        for rank, (name, share) in enumerate(one.top, 1):
            writer.writerow([one.image, rank, name, f"{share:.6f}", one.actual or ""])
