"""``zoo explain``: show where in images a model looks."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from zoo.cli.opened import opened
from zoo.cli.options import complete_trained, image_options
from zoo.cli.output import Out
from zoo.cli.progress import Live, images_done
from zoo.explaining.target import check_folder


@click.command("explain")
@click.argument("model", shell_complete=complete_trained)
@click.argument("images", nargs=-1, required=True, type=click.Path())
@click.option("--class", "label", metavar="NAME", help="Class; default: the most likely one.")
@click.option(
    "--layer",
    metavar="PATH",
    help="Layer to look at, a path or a stage; default: the deepest that has places.",
)
@click.option(
    "--out",
    default="explained",
    type=click.Path(path_type=Path),
    metavar="FOLDER",
    help="Where pictures go; none is written over.  [explained]",
)
@image_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    model: str, images: tuple[str, ...], runs: str, out: Path, as_json: bool, **options: Any
) -> None:
    """Show where in IMAGES (files or folders) MODEL finds what speaks for a class (Grad-CAM).

    MODEL is a run (a name, a folder or a file), hub:ORG/REPO, or a name of zoo list, with the
    weights of its tag or its default ones.

    For each image a PNG is written: what the model saw of it, and beside that the same with its
    hottest places in colour.
    """
    said = Out("json" if as_json else "table")
    check_folder(out)
    loaded = opened(
        model, runs, show=not as_json, images=images, label=options["label"],
        device=options["device"],
    )  # fmt: skip
    from zoo.explaining.verbs import explain

    with Live(show=not as_json) as live:
        done = partial(images_done, live, "explaining")
        found = explain(
            loaded, images, out=out, progress=done,
            note=lambda text: said.note(f"note: {text}"), **options,
        )  # fmt: skip
    if as_json:
        said.json(
            [
                {
                    "image": one.image, "class": one.label, "probability": one.probability,
                    "predicted": one.predicted, "layer": one.layer, "file": one.file,
                }
                for one in found
            ]
        )  # fmt: skip
        return
    asked = options["label"] is not None
    rows = [
        (one.image, one.label, f"{100 * one.probability:.1f} %", *[one.predicted] * asked,
         one.layer, one.file)
        for one in found
    ]  # fmt: skip
    heads = ("image", "class", "probability", *["predicted"] * asked, "layer", "file")
    said.table(heads, rows, right=("probability",))
