"""``zoo benchmark``: how fast models are on this machine."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict
from typing import Any

import click

from zoo.cli.options import complete_model
from zoo.cli.output import Out, count
from zoo.core import names, registry
from zoo.errors import UnknownNameError

HEADS = (
    "model", "pixels", "precision", "params", "macs", "images/s", "one image", "trained/s",
    "memory",
)  # fmt: skip


@click.command("benchmark")
@click.argument("models", nargs=-1, required=True, shell_complete=complete_model)
@click.option("--batch-size", type=click.IntRange(1), default=32, help="Images of a batch.  [32]")
@click.option("--size", type=click.IntRange(1), help="Height and width; default: the model's.")
@click.option("--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "fp32", "bf16", "fp16"]),
    default="auto",
    help="Autocast precision, as in training.  [auto]",
)
@click.option("--threads", type=click.IntRange(1), help="CPU threads; default: all cores.")
@click.option(
    "--channels-last/--no-channels-last",
    default=None,
    help="Memory format; default: as in training.",
)
@click.option(
    "--seconds", type=click.FloatRange(0), default=2.0, help="For each measurement, at least.  [2]"
)
@click.option("--no-train", is_flag=True, help="Do not measure training.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def command(
    models: tuple[str, ...], seconds: float, no_train: bool, as_json: bool, **values: Any
) -> int:
    """Measure how many images a second MODELS answer and train on, here.

    MODELS are names of zoo list, or patterns of them ('resnet*'); or run:NAME, file:PATH,
    hub:ORG/REPO. A name alone gets random weights: they do not matter, and nothing is fetched.

    Images are random numbers that are in memory already; reading files is not measured. Each of
    several models is measured in a process of its own; those that cannot be are named at the end.
    """
    out = Out("json" if as_json else "table")
    wanted = _named(models)
    _check(wanted, values)
    if len(wanted) > 1:
        out.note(f"{len(wanted)} models, some {_guess(seconds, train=not no_train)} s each")
        rows, lost = _each_apart(out, wanted, seconds, train=not no_train, values=values)
    else:
        from zoo.engine.throughput import benchmark

        found = benchmark(wanted[0], seconds=seconds, train=not no_train, **values)
        rows, lost = [asdict(found)], {}
    if as_json:
        errors = [{"model": name, "error": text} for name, text in lost.items()]
        out.json([*rows, *errors])
    else:
        _show(out, rows)
        for name, text in lost.items():
            out.note(f"{name}: {text}")
    return 1 if lost else 0


def _named(models: tuple[str, ...]) -> list[str]:
    """The models that patterns and names stand for, each once."""
    shelf = registry.load().shelf("model")
    found: dict[str, None] = {}
    for text in models:
        if not any(sign in text for sign in "*?["):
            found[text] = None
            continue
        matched = [
            name
            for name, spec in shelf.items()
            if names.matches(text, (name, spec.name), ()) and not spec.deprecated
        ]
        if not matched:
            raise UnknownNameError(f"no model is called like {text!r}", hint="zoo list")
        found |= dict.fromkeys(sorted(matched, key=names.natural_key))
    return list(found)


def _check(wanted: list[str], values: dict[str, Any]) -> None:
    """Say at once, before torch is imported, what cannot be measured."""
    from zoo.core.devices import check_device
    from zoo.core.request import request_as_named
    from zoo.engine.start.stored import weights_path

    check_device(values["device"])
    known = registry.load()
    for name in wanted:
        request_as_named(name, values, registry=known)
        if name.startswith(("run:", "file:")):
            weights_path(name)


def _guess(seconds: float, *, train: bool) -> int:
    """Seconds that a model takes: three measurements, and starting."""
    return round((3 if train else 2) * seconds + 6)


def _each_apart(
    out: Out, wanted: list[str], seconds: float, *, train: bool, values: dict[str, Any]
) -> tuple[list[dict[str, Any]], dict[str, str]]:
    """What was measured of each model, and what is wrong with the others."""
    flags = ["--seconds", str(seconds), "--json", *([] if train else ["--no-train"])]
    for name, value in values.items():
        flag = name.replace("_", "-")
        if isinstance(value, bool):
            flags.append(f"--{flag}" if value else f"--no-{flag}")
        elif value is not None:
            flags += [f"--{flag}", str(value)]
    rows: list[dict[str, Any]] = []
    lost: dict[str, str] = {}
    for number, name in enumerate(wanted, 1):
        out.note(f"{number}/{len(wanted)}  {name}")
        line = [sys.executable, "-m", "zoo", "benchmark", name, *flags]
        done = subprocess.run(  # noqa: S603 - our own interpreter and module
            line, stdout=subprocess.PIPE, text=True, check=False
        )
        try:
            given = json.loads(done.stdout)
            rows += given if isinstance(given, list) else []
            if isinstance(given, dict):
                hint = f" ({given['hint']})" if given.get("hint") else ""
                lost[name] = f"{given['error']}{hint}"
        except (ValueError, KeyError):
            lost[name] = f"its process ended with {done.returncode}"
    return rows, lost


def _show(out: Out, rows: list[dict[str, Any]]) -> None:
    if not rows:
        return
    shown = [
        (
            row["model"],
            " x ".join(map(str, row["size"][1:])),
            row["place"]["precision"],
            count(row["params"]),
            count(row["macs"]),
            f"{row['predict']:.4g}",
            f"{row['latency']:.3g} ms",
            "" if row["train"] is None else f"{row['train']:.4g}",
            "" if row["memory"] is None else f"{row['memory']:,.0f} MB",
        )
        for row in rows
    ]
    out.table(HEADS, shown, right=HEADS[3:])
    place = rows[0]["place"]
    threads = {row["place"]["threads"] for row in rows}
    cores = " or ".join(map(str, sorted(threads)))
    on = f"cpu, {cores} thread{'' if cores == '1' else 's'}" if place["device"] == "cpu" else ""
    out.note(f"{on or place['device']}, batches of {rows[0]['batch_size']}")
    for row in rows:
        if row["note"]:
            out.note(f"{row['model']}: {row['note']}")
