"""What ``zoo finetune`` and ``zoo train`` share: flags in, a plan, a live run, a summary."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final

import click

from zoo.cli.options import RecipeCommand, complete_model, keyword_values, recipe_options
from zoo.cli.output import Out
from zoo.cli.progress import Live, duration
from zoo.core import registry
from zoo.core.request import request
from zoo.errors import CheckpointError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from zoo.core.compose import Composed
    from zoo.core.recipe import Recipe

_DRY = ("plan", "full")
NOTHING_ELSE: Final[Mapping[str, bool]] = MappingProxyType({})
"""A run that is nothing but a run."""
_PREVIEW = click.option(
    "--preview",
    type=click.Path(path_type=Path),
    metavar="FILE.png",
    help="Write a picture of what training will be shown, and stop.",
)


def training_command(verb: str, help_text: str) -> click.Command:
    """Make the command of a verb.

    Args:
        verb: ``finetune`` or ``train``.
        help_text: The help page's first lines.
    """

    @click.command(verb, cls=RecipeCommand, help=help_text)
    @click.argument("model", required=False, shell_complete=complete_model)
    @click.option(
        "--recipe",
        "file",
        type=click.Path(path_type=Path),
        metavar="FILE",
        help="Read a recipe (TOML); flags and --set win over it.",
    )
    @click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="Set any recipe field.")
    @click.option(
        "--dry-run",
        type=click.Choice(_DRY),
        help="Print the plan and stop; full: build the model first and count everything.",
    )
    @click.option("--find-lr", is_flag=True, help="Try learning rates, suggest one, and stop.")
    @_PREVIEW
    @click.option("--retries", type=click.IntRange(0), default=0, help="Restarts with --nproc.")
    @click.option("--timings", is_flag=True, help="Show at the end where the time went.")
    @click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
    def command(
        model: str | None,
        file: Path | None,
        sets: tuple[str, ...],
        dry_run: str | None,
        find_lr: bool,
        preview: Path | None,
        retries: int,
        timings: bool,
        as_json: bool,
        **options: Any,
    ) -> int:
        ends = {"--dry-run": dry_run, "--find-lr": find_lr, "--preview": preview}
        _check_ends(ends, timings=timings)
        out = Out("json" if as_json else "table")
        known = registry.load()
        values = keyword_values(options)
        composed = request(verb, model, values, registry=known, file=file, sets=sets)
        _speak_up(out, known)
        alone = "RANK" not in os.environ  # of several processes one says it, later
        if alone:
            _check_words(composed.recipe, known)
        if preview is not None:
            _check_preview(preview)
        if dry_run == "plan":
            _show_plan(out, composed)
            return 0
        if alone:
            _check_paths(composed.recipe, known)
        if preview is not None:
            return _show_preview(out, composed.recipe, known, preview)
        if composed.recipe.device.nproc > 1 and alone:
            return _launch(composed, retries)
        how = {"dry": dry_run == "full", "find_lr": find_lr}
        return run_and_show(out, verb, composed, how=how, timings=timings)

    return recipe_options()(command)


def _check_ends(given: Mapping[str, object], *, timings: bool) -> None:
    """Refuse two flags that each stop before training, in another way, and to time what is no run.

    Raises:
        UsageError: There are two of them, or one and ``--timings``.
    """
    ends = [flag for flag, value in given.items() if value]
    if len(ends) > 1:
        raise UsageError(
            f"{ends[0]} and {ends[1]} both stop before training", hint="leave one of them out"
        )
    if ends and timings:
        raise UsageError(
            f"--timings times a run, and {ends[0]} makes none", hint="leave --timings out"
        )


def _check_words(recipe: Recipe, known: registry.Registry) -> None:
    """Say at once, before torch is imported, what of the values cannot be read, or is taken."""
    data, output = recipe.data, recipe.output
    if recipe.device.device not in ("auto", "cpu"):
        from zoo.core.devices import check_device

        check_device(recipe.device.device)
    if recipe.loss.teacher and not recipe.loss.teacher.startswith("hub:"):
        from zoo.engine.start.stored import find_trained

        try:
            find_trained(recipe.loss.teacher, known, output.dir)
        except CheckpointError as error:
            error.message = f"--teacher: {error.message}"
            raise
    if data.views != "auto":
        from zoo.engine.prefix.choice import parse_views

        parse_views(data.views)
    if data.cache_size is not None:
        from zoo.engine.prefix.amounts import parse_size

        parse_size(data.cache_size)
    if data.train_size != "auto":
        from zoo.engine.sizes import parse_train_size

        parse_train_size(data.train_size)
    if data.shrink is not None:
        from zoo.engine.plan import expected_input, model_spec
        from zoo.engine.sizes import check_shrink

        if (spec := model_spec(recipe, known)) is not None:  # else the file or the Hub says it
            check_shrink(data.shrink, expected_input(recipe, spec))
    if output.save_every is not None:
        from zoo.engine.rules import parse_every

        parse_every(output.save_every)
    if recipe.optim.max_time is not None:
        from zoo.engine.rules import parse_time

        parse_time(recipe.optim.max_time)
    if output.name is not None:
        from zoo.engine.saving.rundir import check_name

        check_name(output)


def _check_paths(recipe: Recipe, known: registry.Registry) -> None:
    """Say at once, before torch is imported, that there is nothing at a path that was typed."""
    from zoo.data.places import check_there
    from zoo.engine.start.stored import weights_path

    if recipe.model.weights.startswith(("file:", "run:")):
        weights_path(recipe.model.weights, recipe.output.dir)
    check_there(recipe.data, known)


def _speak_up(out: Out, known: registry.Registry) -> None:
    for info in known.plugins:
        if info.state == "quarantined":
            out.note(f"plugin {info.name} is out of order: {info.error} (zoo plugins)")


def _show_plan(out: Out, composed: Composed) -> None:
    from zoo.engine.plan import early_plan

    plan = early_plan(composed.recipe, registry.load())
    if out.form == "json":
        out.json({**plan.to_dict(), "origin": composed.origin})
        return
    out.pairs(plan.lines, indent=2)
    for note in plan.notes:
        out.line(f"  note: {note}")


def _check_preview(path: Path) -> None:
    """Say at once, before torch is imported, that a preview cannot be written."""
    from zoo.report.target import check_picture

    check_picture(path)


def _show_preview(out: Out, recipe: Recipe, known: registry.Registry, path: Path) -> int:
    if os.environ.get("RANK", "0") != "0":  # one process of several draws it
        return 0
    from zoo.report.preview import write_preview

    found = write_preview(recipe, known, path)
    if out.form == "json":
        rows = [{"class": row.name, "image": row.key} for row in found.rows]
        out.json({"preview": str(path), "images": rows, "notes": list(found.notes)})
        return 0
    out.pairs([("preview", f"{path}: {len(found.rows)} images, {len(found.epochs)} epochs")])
    for note in found.notes:
        out.line(f"note: {note}")
    return 0


def _launch(composed: Composed, retries: int) -> int:
    from zoo.engine.processes.launch import launch

    return launch(composed.recipe.device.nproc, sys.argv[1:], retries=retries)


def run_and_show(
    out: Out,
    verb: str,
    composed: Composed | None,
    *,
    resume: Path | None = None,
    how: Mapping[str, bool] = NOTHING_ELSE,
    timings: bool = False,
) -> int:
    """Run, show what happens, and print what came out.

    Args:
        out: Where words go.
        verb: ``finetune``, ``train`` or ``resume``.
        composed: The recipe; ``None`` when resuming.
        resume: The run folder to go on with.
        how: What :func:`zoo.engine.run.conduct` is told besides: ``dry``, ``find_lr``.
        timings: Whether to show where the time went.
    """
    main = os.environ.get("RANK", "0") == "0"
    with Live(show=out.form != "json" and main) as live:
        live.line(f"zoo {verb}" + (f" {composed.recipe.model.name}" if composed else ""))
        result: Any = None
        for event in _events(composed, resume, live, how):
            result = _show(event, live) or result
    if result is not None and main:
        if how.get("find_lr"):
            from zoo.cli.rates import show_rates

            show_rates(out, result)
            return 0
        summary(out, result)
        if timings:
            from zoo.cli.timings import show

            show(out, result.timings)
    return 0


def _events(
    composed: Composed | None, resume: Path | None, live: Live, how: Mapping[str, bool]
) -> Iterable[Any]:
    from zoo.engine.resume import go_on
    from zoo.engine.run import conduct
    from zoo.engine.timings import Timings, process_began
    from zoo.engine.watch import Watch

    watch = Watch(
        progress=lambda done, total: live.bytes("download", done, total),
        note=live.line,
        clock=Timings(began=process_began()),
    )
    if resume is not None:
        return go_on(resume, registry.load(), watch=watch)
    assert composed is not None
    return conduct(composed.recipe, registry.load(), watch=watch, **how)


def _show(event: Any, live: Live) -> Any:
    """Show one event; gives back the result, which comes last."""
    kind = type(event).__name__
    if kind == "StepReport":
        rate = f"{event.images_per_second:.0f} img/s, {duration(event.eta)} left"
        detail = f"{event.batch}/{event.batches}  loss {event.loss:.3f}  {rate}"
        live.update(f"  epoch {event.epoch + 1}", event.batch, event.batches, detail)
    elif kind == "Tried":
        detail = f"{event.step}/{event.steps}  rate {event.rate:.1e}  loss {event.loss:.3f}"
        live.update("  learning rates", event.step, event.steps, detail)
    elif kind == "EpochReport":
        live.clear()
        live.line("  " + epoch_line(event))
    elif kind == "Note":
        live.line(f"  note: {event.text}")
    elif kind == "Plan":
        width = max(len(name) for name, _ in event.lines)
        for name, text in event.lines:
            first, *more = text.splitlines() or [""]
            live.line(f"  {name.ljust(width)}  {first}")
            for line in more:
                live.line(f"  {' ' * width}  {line}")
        for note in event.notes:
            live.line(f"  note: {note}")
    elif kind in ("RunResult", "RangeTest"):
        live.clear()
        return event
    return None


def epoch_line(event: Any) -> str:
    """One line an epoch: losses, accuracies, rate, time."""
    train = f"train loss {event.loss:.4f}" + _accuracy(event.top1)
    val = ""
    if event.val is not None:
        more = [f" {k} {v:.4f}" for k, v in event.val.metrics.items() if "/" not in k]
        val = f" | val loss {event.val.loss:.4f}{_accuracy(event.val.top1)}{''.join(more[:3])}"
    star = " *" if event.best else ""
    width = len(str(event.epochs))
    head = f"epoch {event.epoch + 1:>{width}}/{event.epochs}"
    rate = f"lr {event.lr:.2g} | {event.n / max(event.seconds, 1e-9):.0f} img/s"
    return f"{head} | {train}{val} | {rate} | {duration(event.seconds)}{star}"


def _accuracy(value: float | None) -> str:
    return "" if value is None else f" top-1 {100 * value:.2f} %"


def summary(out: Out, result: Any) -> None:
    """Say at the end what came out and where everything lies."""
    if out.form == "json":
        out.json(result.to_dict())
        return
    out.pairs(result.lines())
