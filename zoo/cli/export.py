"""``zoo export``: write a run in another format, and keep the file only if it holds up."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import click

from zoo.cli.opened import opened
from zoo.cli.options import complete_trained
from zoo.cli.output import Out, size
from zoo.errors import UsageError


@click.command("export")
@click.argument("model", shell_complete=complete_trained)
@click.option(
    "--format",
    "form",
    default="torch-export",
    metavar="NAME",
    help="safetensors, torch-export or onnx (zoo list --kind exporter).  [torch-export]",
)
@click.option(
    "--out", metavar="PATH", help="File or folder; default: beside the run's weights, else here."
)
@click.option(
    "--tolerance",
    type=click.FloatRange(min=0.0),
    default=1e-4,
    help="Largest difference allowed, as a share of the largest output.  [0.0001]",
)
@click.option(
    "--check",
    type=click.IntRange(0),
    default=32,
    metavar="N",
    help="Validation images that must get the same label from the file; 0 checks none.  [32]",
)
@click.option(
    "--option",
    "options",
    multiple=True,
    metavar="NAME=VALUE",
    help="Option of the format, e.g. opset=20 (repeatable).",
)
@click.option("--dir", "runs", default="runs", metavar="FOLDER", help="Where runs lie.  [runs]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
def command(
    model: str, runs: str, form: str, options: tuple[str, ...], as_json: bool, **given: Any
) -> None:
    """Write MODEL in another format, and check the file.

    MODEL is a run (a name, a folder or a file), hub:ORG/REPO, or a name of zoo list, with the
    weights of its tag or its default ones.

    It is read back with its own runtime, compared with the model at other batch sizes, and asked
    for the labels of validation images, from file to label. A file that fails is not kept.
    """
    from zoo.api import export

    out = Out("json" if as_json else "table")
    said = _options(options)
    loaded = opened(model, runs, show=not as_json, parts=[("exporter", form)])
    result = export(loaded, format=form, options=said, **given)
    if as_json:
        agreement = result.agreement
        out.json({**asdict(result), "agreement": asdict(agreement) if agreement else None})
        return
    out.pairs(
        [
            ("file", result.path),
            ("format", result.format),
            ("size", size(result.bytes)),
            ("sha256", result.sha256),
            ("outputs", _outputs(result)),
            ("labels", result.agreement.line() if result.agreement else ""),
        ]
    )
    for note in result.notes:
        out.note(f"note: {note}")


def _outputs(result: Any) -> str:
    if result.max_diff is None:
        return "not compared"
    sizes = " and ".join(map(str, result.batches))
    return f"max |diff| {result.max_diff:.1e} of {result.scale:.2g}, at batch {sizes}"


def _options(texts: tuple[str, ...]) -> dict[str, Any]:
    from zoo.core.compose import parse_value

    found: dict[str, Any] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not (name and sign):
            raise UsageError(f"--option {text!r} is not NAME=VALUE")
        found[name] = parse_value(value)
    return found
