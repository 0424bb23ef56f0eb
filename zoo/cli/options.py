"""Flags from recipe fields: one table, no flag written by hand.

A flag's type, choices and help are those of its recipe field, so that help pages, checks and
docs cannot disagree.
"""

from __future__ import annotations

import types
from pathlib import Path
from typing import (
    TYPE_CHECKING,
    Annotated,
    Any,
    Final,
    Literal,
    Union,
    get_args,
    get_origin,
)

import click

from zoo.core import registry
from zoo.core.compose import parse_value
from zoo.core.fields import fields
from zoo.core.flags import COMMA, EITHER, KEYWORDS
from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from click.shell_completion import CompletionItem

TITLES: Final = {
    "model": "Model",
    "surgery": "Surgery",
    "freeze": "Freezing",
    "data": "Data",
    "loss": "Loss",
    "optim": "Optimisation",
    "device": "Device",
    "output": "Output",
}
METAVARS: Final = {
    "batch_transform": "NAME",
    "device": "NAME",
    "eval_transform": "NAME",
    "loss": "NAME",
    "max_time": "TIME",
    "metric": "NAME",
    "monitor": "NAME",
    "name": "NAME",
    "optimizer": "NAME",
    "schedule": "NAME",
    "teacher": "SOURCE",
    "teacher_share": "SHARE",
    "tracker": "NAME",
    "transform": "NAME",
    "warmup": "EPOCHS",
    "weights": "SOURCE",
    "project": "N,N",
    "freeze_upto": "STAGE",
    "freeze_before": "STAGE",
    "freeze": "GLOB",
    "unfreeze": "GLOB",
    "unfreeze_at": "EPOCHS:STAGE",
    "lora": "RANK",
    "lora_alpha": "ALPHA",
    "data": "SOURCE",
    "val": "FOLDER",
    "fold": "N/K",
    "cache_size": "SIZE",
    "train_size": "PIXELS|same|auto",
    "shrink": "PIXELS",
    "views": "K|fresh|auto",
    "view_crop": "SHARE",
    "data_root": "FOLDER",
    "out": "FOLDER",
    "save_every": "N|Nm",
}


_TYPES: Final[dict[type, type]] = {int: int, float: float, bool: bool}


class RecipeOption(click.Option):
    """A flag that sets one recipe field; help lists it under its section."""

    def __init__(self, keyword: str) -> None:
        self.keyword = keyword
        info = fields()[KEYWORDS[keyword]]
        kind, choices, optional = _shape(info.type)
        flag = "--" + keyword.replace("_", "-")
        names = [f"{flag}/--no-{flag[2:]}" if kind is bool and optional else flag, keyword]
        several = kind in (tuple, dict)
        super().__init__(
            names,
            default=None,
            is_flag=kind is bool,
            multiple=several,
            type=click.Choice(choices) if choices else _TYPES.get(kind, str),
            metavar="NAME=VALUE" if kind is dict else METAVARS.get(keyword),
            help=info.help + _default(info.default),
        )
        self.section = KEYWORDS[keyword].partition(".")[0]
        self.kind = kind


class RecipeCommand(click.Command):
    """A command with recipe flags: help by section, ``--dry-run`` with an optional value."""

    def make_context(
        self,
        info_name: str | None,
        args: list[str],
        parent: click.Context | None = None,
        **extra: Any,
    ) -> click.Context:
        """Make the context with ``-h`` and wide help."""
        extra.setdefault("help_option_names", ["-h", "--help"])
        extra.setdefault("max_content_width", 100)
        return super().make_context(info_name, args, parent, **extra)

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let a bare ``--dry-run`` stand before any argument."""
        return super().parse_args(
            ctx, ["--dry-run=plan" if arg == "--dry-run" else arg for arg in args]
        )

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the flags, those of a recipe section together."""
        sections: dict[str, list[tuple[str, str]]] = {title: [] for title in TITLES.values()}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record:
                title = TITLES[param.section] if isinstance(param, RecipeOption) else "Command"
                sections.setdefault(title, []).append(record)
        for title, records in sections.items():
            if records:
                with formatter.section(title):
                    formatter.write_dl(records)


def image_options(function: Callable[..., Any]) -> Callable[..., Any]:
    """Add the options of every command that shows images to a trained model."""
    for option in reversed(_OF_IMAGES):
        function = option(function)
    return function


TTA: Final = click.option(
    "--tta",
    is_flag=True,
    help="Answer with the mean over each image and its mirror image; takes twice as long.",
)
"""Test-time augmentation."""
_OF_IMAGES: Final = (
    click.option(
        "--device", default="auto", metavar="NAME", help="auto, cpu, cuda, cuda:N or mps."
    ),
    click.option(
        "--on-bad-image",
        type=click.Choice(["error", "skip"]),
        default="error",
        help="List unreadable images and stop, or name and skip them.  [error]",
    ),
    click.option("--dir", "runs", default="runs", metavar="FOLDER", help="Where runs lie.  [runs]"),
)


def _shape(annotation: Any) -> tuple[type, tuple[str, ...], bool]:
    """The plain type of a field, its choices if it has some, and whether ``None`` is allowed."""
    if get_origin(annotation) is Annotated:
        return _shape(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        inner = [arg for arg in get_args(annotation) if arg is not type(None)]
        kind, choices, _ = _shape(str if str in inner else inner[0])
        return kind, choices, type(None) in get_args(annotation)
    if get_origin(annotation) is Literal:
        return str, get_args(annotation), False
    return get_origin(annotation) or annotation, (), False


def _default(value: Any) -> str:
    if value in (None, (), {}, False, ""):
        return ""
    return f"  [{value:g}]" if isinstance(value, float) else f"  [{value}]"


def recipe_options(*, without: Iterable[str] = ()) -> Callable[[click.Command], click.Command]:
    """Add every recipe flag to a command (a decorator above ``@click.command``)."""
    left_out = set(without)

    def add(command: click.Command) -> click.Command:
        command.params += [RecipeOption(k) for k in KEYWORDS if k not in left_out]
        return command

    return add


def named_data_options(command: click.Command) -> click.Command:
    """Add what a named data set is opened with, beside ``--data-root`` (above ``@click.command``)."""
    place = [param.name for param in command.params].index("data_root") + 1
    command.params[place:place] = [RecipeOption(k) for k in ("data_option", "download")]
    return command


def keyword_values(options: dict[str, Any]) -> dict[str, Any]:
    """What click parsed, as keywords of :mod:`zoo.core.flags`; flags not given are left out.

    Raises:
        UsageError: A ``NAME=VALUE`` flag without ``=``.
    """
    values: dict[str, Any] = {}
    for keyword, value in options.items():
        if keyword not in KEYWORDS or value is None or value == ():
            continue
        default = fields()[KEYWORDS[keyword]].default
        if isinstance(default, dict):
            values[keyword] = dict(_pair(keyword, text) for text in value)
        elif keyword in COMMA:
            values[keyword] = [parse_value(p) for text in value for p in text.split(",") if p]
        elif keyword in EITHER:
            values[keyword] = parse_value(value)
        else:
            values[keyword] = list(value) if isinstance(value, tuple) else value
    return values


def _pair(keyword: str, text: str) -> tuple[str, Any]:
    name, equals, value = text.partition("=")
    if not equals:
        flag = "--" + keyword.replace("_", "-")
        raise UsageError(f"{flag} {text!r} is not NAME=VALUE", hint=f"{flag} NAME=VALUE")
    return name.strip(), parse_value(value.strip())


def complete_model(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Shell completion of model names, from the registry, without torch."""
    from click.shell_completion import CompletionItem

    del ctx, param
    shelf = registry.load().shelf("model")
    found = [n for n in shelf if n.startswith(incomplete) or shelf[n].name.startswith(incomplete)]
    return [CompletionItem(name, help=shelf[name].summary) for name in found]


def complete_trained(
    ctx: click.Context, param: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Shell completion of trained models: runs first, then names of the registry."""
    from click.shell_completion import CompletionItem

    folder = Path(ctx.params.get("runs") or "runs")
    names = sorted(path.parent.name for path in folder.glob("*/recipe.toml"))
    runs = [CompletionItem(n, help="a run of yours") for n in names if n.startswith(incomplete)]
    return runs + complete_model(ctx, param, incomplete)
