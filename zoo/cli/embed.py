"""``zoo embed``: images as vectors, and the images that are most alike."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import click

from zoo.cli.opened import opened
from zoo.cli.options import complete_trained, image_options
from zoo.cli.output import Out
from zoo.cli.progress import Live, images_done
from zoo.errors import UsageError
from zoo.explaining.target import check_file, check_image


@click.command("embed")
@click.argument("model", shell_complete=complete_trained)
@click.argument("images", nargs=-1, required=True, type=click.Path())
@click.option(
    "--out",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="A new .safetensors or .csv file for the vectors.",
)
@click.option("--like", metavar="IMAGE", help="List the images that are most like this one.")
@click.option("--top", type=click.IntRange(1), default=5, help="How many of those.  [5]")
@image_options
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    model: str,
    images: tuple[str, ...],
    runs: str,
    out: Path | None,
    like: str | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Give IMAGES (files or folders) as vectors: what MODEL's last layer is given.

    MODEL is a run (a name, a folder or a file), hub:ORG/REPO, or a name of zoo list, with the
    weights of its tag or its default ones.

    With --like, the images are sorted by how much the model takes them for alike: by the cosine
    of the angle between their vectors.
    """
    said = Out("json" if as_json else "table")
    if out is None and like is None:
        raise UsageError(
            "nothing is asked for", hint="--out FILE.safetensors, or --like IMAGE, or both"
        )
    if out is not None:
        check_file(out)
    if like is not None:
        check_image(like)
    loaded = opened(model, runs, show=not as_json, images=images, device=options["device"])
    from zoo.explaining.verbs import embed

    with Live(show=not as_json) as live:
        done = partial(images_done, live, "embedding")
        found = embed(
            loaded, images, out=out, like=like, progress=done,
            note=lambda text: said.note(f"note: {text}"), **options,
        )  # fmt: skip
    count, width = found.vectors.shape
    if as_json:
        said.json(
            {
                "images": count, "features": width, "model": found.model, "digest": found.digest,
                "file": found.file, "like": like, "nearest": found.nearest,
            }
        )  # fmt: skip
        return
    if out is not None:
        said.pairs([("images", f"{count:,}"), ("features", f"{width:,}"), ("file", found.file)])
    labelled = any(one.label for one in found.nearest)
    rows = [
        (rank, f"{one.similarity:.4f}", one.image, *[one.label] * labelled)
        for rank, one in enumerate(found.nearest, 1)
    ]
    heads = ("rank", "similarity", "image", *["label"] * labelled)
    if rows and out is not None:
        said.line()
    said.table(heads, rows, right=("rank", "similarity"))
