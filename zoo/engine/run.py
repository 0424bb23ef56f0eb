"""The conductor: from a recipe to a finished run, step by step, as a stream of events.

Read :func:`conduct` from top to bottom: each value is made in one room and handed forward. The
events are a :class:`zoo.engine.plan.Plan` (twice: before anything is built, and when everything
is), the loop's reports, and the :class:`zoo.engine.result.RunResult` last.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core import compose
from zoo.core.metadata import WEIGHTS_FILE, CheckpointInfo
from zoo.core.recipe import Recipe
from zoo.core.registry import Registry
from zoo.data.images import Splits
from zoo.engine import provenance
from zoo.engine.assemble import Assembly, assemble, early_place, freeze_model
from zoo.engine.breakeven import BreakEven
from zoo.engine.liveplan import live_plan
from zoo.engine.loop import fit
from zoo.engine.mend import mend_begun
from zoo.engine.observers import Observers, first_images
from zoo.engine.origin import ORIGIN_FILE, describe
from zoo.engine.parts import Built, build, surgery_record
from zoo.engine.plan import Plan, expected_input, make_plan, model_spec, open_recipe_data, stem
from zoo.engine.precheck import check_parts, check_with_classes, deprecated_parts
from zoo.engine.processes import distributed
from zoo.engine.processes.deal import change, deal, require_processes, require_same_images
from zoo.engine.processes.distributed import World
from zoo.engine.processes.launch import note_run
from zoo.engine.processes.signals import Stop
from zoo.engine.rangetest import CONSTANT, find_rate
from zoo.engine.rehearse import require_exact
from zoo.engine.reports import EpochReport, Note, SavedReport, StepReport
from zoo.engine.result import RESULT_FILE, RunResult
from zoo.engine.saving import checkpoint
from zoo.engine.saving.keeper import Keeper, drift, environment
from zoo.engine.saving.rundir import RunFolder, check_name
from zoo.engine.sizes import fit_input
from zoo.engine.start.weights import find_start
from zoo.engine.timings import Waited
from zoo.engine.transforms import image_transform
from zoo.engine.watch import Watch
from zoo.engine.work import suited, work_of
from zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from zoo.core.specs import InputSpec
    from zoo.engine.begun import Begun
    from zoo.engine.freezing.frozen import Frozen
    from zoo.engine.place import Place
    from zoo.engine.rangetest import RangeTest, Tried
    from zoo.engine.reports import Report
    from zoo.engine.start.start import Start
    from zoo.engine.timings import Timings

    Event = Plan | Report | Tried | RangeTest | RunResult

RECIPE_FILE = "recipe.toml"


@dataclass(slots=True, kw_only=True)
class Run:
    """What hooks see of a run.

    Attributes:
        recipe: The checked recipe.
        registry: Where its parts are.
        splits: The data.
        built: The model and its input.
        world: The ranks.
        dir: The run folder; ``None`` until it is made, and on ranks that do not write.
    """

    recipe: Recipe
    registry: Registry
    splits: Splits
    built: Built
    world: World
    dir: Path | None = None


def conduct(
    recipe: Recipe,
    registry: Registry,
    *,
    watch: Watch | None = None,
    dry: bool = False,
    find_lr: bool = False,
) -> Iterator[Event]:
    """Run a recipe from the beginning.

    Args:
        recipe: A checked recipe (:func:`zoo.core.request.request`).
        registry: Where its parts are.
        watch: Told about downloads and waits.
        dry: Stop before anything is written; the second plan is the last event.
        find_lr: Instead of the run, make a range test of its learning rate.

    Yields:
        Plans, the loop's reports, and the result.

    Raises:
        ZooError: Anything that is wrong; see :mod:`zoo.errors` for the order of things.
    """
    watch = watch or Watch()
    clock = watch.clock
    if find_lr:  # the test has a schedule of its own
        recipe = compose.changed(recipe, CONSTANT)
    with ExitStack() as stack:
        world = distributed.from_environment()
        require_processes(recipe, world)
        place = early_place(recipe, world)
        check_name(recipe.output)
        stack.enter_context(distributed.join(world, place.device))
        clock.lap("start")
        with world.together():
            spec = model_spec(recipe, registry)
            check_parts(recipe, registry, expected_input(recipe, spec))
            start = None if spec else begin(recipe, registry, watch)
            shown = shown_by(start, recipe) if start else expected_input(recipe, spec)
            splits = open_recipe_data(recipe, registry, shown.size[0])
            recipe = _pinned(recipe, splits, world)
            check_with_classes(recipe, registry, shown, len(splits.classes))
            clock.lap("data")
            known = spec or (start.spec if start else None)
            yield make_plan(recipe, known, splits, shown, writes=not find_lr)
            for text in deprecated_parts(recipe, registry):
                yield Note(text=text)
            clock.lap("report")
            start = start or begin(recipe, registry, watch)
            built = build(start, recipe, registry, splits.classes)
            clock.lap("build")
            if built.input.size[0] != shown.size[0]:  # a repository knew better
                splits = open_recipe_data(recipe, registry, built.input.size[0])
            share = len(splits.train) // world.size
            frozen = freeze_model(built, recipe, pretrained=start.pretrained, images=share)
            start = replace(start, tensors=None)  # the model has them
        run = Run(recipe=recipe, registry=registry, splits=splits, built=built, world=world)
        yield from carry_out(run, frozen, start, place, stack, watch, dry=dry, find_lr=find_lr)


def _pinned(recipe: Recipe, splits: Splits, world: World) -> Recipe:
    """The recipe with what the surroundings decided: data for want of ``--data``, processes."""
    pinned: dict[str, Any] = {}
    if recipe.device.nproc != world.size:
        pinned["device.nproc"] = world.size
    if recipe.data.source is None:
        pinned["data.source"] = splits.source
    return compose.changed(recipe, pinned) if pinned else recipe


def shown_by(start: Start, recipe: Recipe) -> InputSpec:
    """What a model that starts here will be shown."""
    return fit_input(start.input, recipe.data.size, recipe.surgery.in_channels)


def begin(recipe: Recipe, registry: Registry, watch: Watch) -> Start:
    """Where the recipe's model starts; downloads what is not here."""
    found = find_start(recipe, registry, progress=watch.progress, note=watch.note)
    watch.clock.lap("weights")
    return found


def carry_out(
    run: Run,
    frozen: Frozen,
    start: Start,
    place: Place,
    stack: ExitStack,
    watch: Watch,
    *,
    dry: bool = False,
    find_lr: bool = False,
    begun: Begun | None = None,
) -> Iterator[Event]:
    """The second half of a run, new or resumed (``begun``: what was decided before)."""
    recipe, world = run.recipe, run.world
    observers = Observers(run.registry, strict=recipe.output.strict, note=watch.note)
    with world.together():
        observers.ready(run, run.built.model)
        work = work_of(run.built.model, run.built.input)
        place = suited(place, recipe.device, work, recipe.data.batch_size)
        made = assemble(
            recipe, run.registry, run.built, frozen, run.splits, place=place, world=world,
            begun=begun,
        )  # fmt: skip
    require_same_images(run.splits.fingerprint, world)
    if dry or find_lr:
        yield live_plan(recipe, run.built, made, None)
        if find_lr:
            yield from find_rate(made, world, peak=recipe.optim.lr)
        return
    resumed = run.dir is not None
    folder = _opened(run, stack)
    assert run.dir is not None
    made = replace(made, rules=replace(made.rules, go_on=f"zoo resume {run.dir}"))
    keeper = Keeper(
        folder,
        _info(run, start, frozen, made),
        keep=recipe.output.keep,
        environment=environment(made.place, world),
        world=world,
    )
    expected = (yield from _put_back(run, made, keeper)) if resumed else ""
    world.lead(lambda: keeper.require_space(made.live))
    keeper.info = replace(keeper.info, freeze=frozen.record(frozen.begin()))
    pays = None
    if made.place.compile:
        pays = BreakEven.measure(made.live, made.rules, **made.parts(world))
    yield live_plan(recipe, run.built, made, run.dir, pays)
    if recipe.output.verify_resume and not resumed:
        yield require_exact(made.live, made.rules, **made.parts(world))
    if world.main:
        stack.push(lambda _, error, __: observers.close(error))  # before the first step, too
        observers.open_trackers(recipe, run.dir)
    if observers.tracked and not resumed and world.size == 1:
        look = image_transform(recipe, run.registry, made.seen, train=True)
        observers.show(run.built.model, first_images(run.splits.train, look, recipe.device.seed))
    observers.observe("zoo_run_started", run=run)
    watch.clock.lap("prepare")
    yield from _train(run, made, keeper, observers, expected, watch.clock, pays)


def _put_back(run: Run, made: Assembly, keeper: Keeper) -> Generator[Note, None, str]:
    """Go back to the newest state; gives the digest that the frozen part had, or nothing."""
    recipe, world, live, expected = run.recipe, run.world, made.live, ""
    found = keeper.resume(live)
    if found.state is not None:
        expected = str(found.state.info.freeze.get("proof", {}).get("sha256", ""))
        for text in drift(found.state.environment, keeper.environment):
            if not text.startswith("world "):  # what that means is said apart
                yield Note(text=f"{text}: the resumed run may differ in the last bits")
        folder = keeper.folder
        mended = world.lead(lambda: mend_begun(folder, live.position) if folder else "")
        live.position = world.share(live.position)
        if mended:
            yield Note(text=mended)
    if recipe.device.nproc != world.size:
        share = deal(recipe, world.size, len(run.splits.train))
        yield Note(text=change(share, live.model, recipe, held=made.frozen.plan.norms))
    return expected


def _opened(run: Run, stack: ExitStack) -> RunFolder | None:
    """The run's folder on rank 0; on every rank, ``run.dir`` says where it is.

    Raises:
        ZooError: On every rank, if rank 0 cannot have it.
    """
    held: list[RunFolder] = []

    def enter() -> Path:
        held.append(stack.enter_context(_folder(run)))
        return held[0].path

    run.dir = run.world.lead(enter)
    if not held:
        return None
    note_run(run.dir)
    return held[0]


def _folder(run: Run) -> RunFolder:
    if run.dir is not None:
        return RunFolder.open(run.dir)
    output = run.recipe.output
    folder = RunFolder.create(Path(output.dir), name=output.name, stem=stem(run.recipe, run.splits))
    folder.write_text(ORIGIN_FILE, describe())
    folder.write_text(RECIPE_FILE, compose.dump_recipe(run.recipe))
    return folder


def _info(run: Run, start: Start, frozen: Frozen, made: Assembly) -> CheckpointInfo:
    return CheckpointInfo(
        model=run.built.spec.qualified,
        plugin=run.built.spec.plugin,
        options=start.options,
        num_classes=run.built.report.outputs or len(run.splits.classes),
        classes=run.splits.classes,
        surgery=surgery_record(run.built.surgery),
        input=run.built.input,
        recipe=compose.to_dict(run.recipe),
        recipe_digest=compose.digest(run.recipe),
        freeze=frozen.record({}),
        base=start.record,
        teacher=made.teacher.record if made.teacher else {},
        data=run.splits.to_dict(),
        versions=provenance.versions(run.registry),
        git=provenance.git_state(Path.cwd()),
        run=run.dir.name if run.dir else "",
    )


def _train(
    run: Run, made: Assembly, keeper: Keeper, observers: Observers, expected: str, clock: Timings,
    pays: BreakEven | None,
) -> Iterator[Event]:  # fmt: skip
    """The loop, written down, watched, timed and proved."""
    assert run.dir is not None
    train, val = Waited(made.train), Waited(made.val)
    began = time.monotonic()
    best: EpochReport | None = None
    folder = keeper.folder
    outcome: Any = None
    try:
        with Stop() as stop, closing(fit(
            made.live, made.rules, val=val, keeper=keeper, stop=stop, metrics=made.metrics,
            **{**made.parts(run.world), "train": train},
        )) as reports:  # fmt: skip
            for report in clock.through(reports):
                if folder is not None:
                    _write_down(folder, report)
                if isinstance(report, EpochReport):
                    best = report if report.best else best
                    observers.scalars(report.scalars(), report.step)
                    observers.observe("zoo_progress", run=run, report=report)
                elif isinstance(report, SavedReport):
                    observers.observe("zoo_checkpoint_saved", run=run, path=report.path)
                if run.world.main:
                    yield report
                    if pays and (text := pays.see(report, clock.last)):
                        yield Note(text=text)
        clock.waits(train, val)
        proved = made.frozen.prove(expected)
        outcome = _finish(run, made, keeper, best, proved, time.monotonic() - began, clock)
        if run.world.main:
            yield outcome
    except BaseException as error:
        outcome = error
        if isinstance(error, DataError) and keeper.last_good is not None:
            error.hint = f"{error.hint}\n{made.rules.go_on} goes on from the last save".strip()
        raise
    finally:
        made.train.close()
        made.val.close()
        observers.observe("zoo_run_ended", run=run, result=outcome)
        observers.close(outcome)


def _write_down(folder: RunFolder, report: Report) -> None:
    if isinstance(report, StepReport | EpochReport):
        folder.record(report.row())
    if isinstance(report, Note):
        folder.log(report.text)
    elif isinstance(report, EpochReport):
        val = report.val.to_dict() if report.val else {}
        folder.log(f"epoch {report.epoch + 1}/{report.epochs} loss {report.loss:.4f} val {val}")


def _finish(
    run: Run,
    made: Assembly,
    keeper: Keeper,
    best: EpochReport | None,
    proved: dict[str, Any],
    seconds: float,
    clock: Timings,
) -> RunResult:
    """Put the proof into the best weights, write the result."""
    assert run.dir is not None
    at = made.live.position
    weights = run.dir / WEIGHTS_FILE
    metrics: dict[str, float] = {}
    if keeper.folder is not None and weights.is_file():
        tensors, info = checkpoint.load_weights(weights)
        if info is not None:
            metrics = info.metrics
            if proved:
                info = replace(info, freeze={**info.freeze, "proof": proved})
                checkpoint.save_weights(weights, tensors, info, staging=keeper.folder.staging)
    clock.lap("finish")
    result = RunResult(
        name=run.dir.name,
        dir=run.dir,
        weights=weights,
        epochs=at.epoch,
        step=at.step,
        best_epoch=None if at.best_epoch is None else at.best_epoch + 1,
        metrics=metrics or (best.val.to_dict() if best and best.val else {}),
        monitor=made.rules.monitor,
        classes=len(run.splits.classes),
        seconds=round(seconds, 3),
        freeze=made.frozen.plan.line() if made.frozen.plan.frozen else "",
        proof=made.frozen.line,
        stopped_early=at.epoch < made.rules.epochs or at.cut,
        timings=clock.to_dict(),
    )
    if keeper.folder is not None:
        keeper.folder.write_text(RESULT_FILE, result.write())
    return result
