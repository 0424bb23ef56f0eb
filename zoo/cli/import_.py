"""``zoo import``: turn a .pth file into a checkpoint."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

import click

from zoo.cli.options import complete_model
from zoo.cli.output import Out
from zoo.core import registry
from zoo.core.compose import parse_value
from zoo.errors import UsageError


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option(
    "--as", "model", required=True, metavar="MODEL", shell_complete=complete_model,
    help="Model that the weights are of.",
)  # fmt: skip
@click.option("--classes", type=click.IntRange(1), help="Outputs of the head; default: the file's.")
@click.option(
    "--labels", type=click.Path(path_type=Path), metavar="FILE",
    help="Class names: one a line, or JSON.",
)  # fmt: skip
@click.option("--key", default="", metavar="NAME", help="Entry of the file that holds the weights.")
@click.option(
    "--model-option", "options", multiple=True, metavar="NAME=VALUE", help="Builder option."
)
@click.option("--to", type=click.Path(path_type=Path), metavar="FILE", help="File to write.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    file: Path,
    model: str,
    classes: int | None,
    labels: Path | None,
    key: str,
    options: tuple[str, ...],
    to: Path | None,
    as_json: bool,
) -> None:
    """Turn FILE (torch.save of a state dict or of a whole checkpoint) into a checkpoint of zoo.

    Nothing in the file is run. Every name and shape must fit the model.
    """
    from zoo.engine.start.importing import import_weights, read_labels

    out = Out("json" if as_json else "table")
    done = import_weights(
        file,
        model=model,
        registry=registry.load(),
        classes=classes,
        labels=read_labels(labels) if labels else (),
        key=key,
        options=dict(_pair(text) for text in options),
        out=to,
    )
    if as_json:
        out.json(asdict(done))
        return
    for said in done.notes:
        out.note(f"note: {said}")
    count = f", {done.num_classes} classes" if done.num_classes else ""
    out.line(f"{done.path}  {done.model}{count}, {done.tensors} tensors")
    out.line(
        f"next     zoo predict {done.path} IMAGE   zoo finetune {done.model} --weights file:{done.path}"
    )


def _pair(text: str) -> tuple[str, object]:
    name, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f"--model-option {text!r} is not NAME=VALUE")
    return name, parse_value(value)
