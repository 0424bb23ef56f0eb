"""Going on with a run that was stopped: the same recipe, the same data, the newest whole state."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from typing import TYPE_CHECKING

from zoo.core import compose
from zoo.engine.assemble import early_place, freeze_model
from zoo.engine.begun import Begun
from zoo.engine.mend import mend
from zoo.engine.origin import located
from zoo.engine.parts import build, skeleton
from zoo.engine.plan import make_plan, open_recipe_data
from zoo.engine.processes import distributed
from zoo.engine.processes.deal import deal
from zoo.engine.reports import Note
from zoo.engine.result import read_result
from zoo.engine.run import RECIPE_FILE, Run, begin, carry_out, shown_by
from zoo.engine.saving import checkpoint
from zoo.engine.saving.rundir import require_free
from zoo.engine.watch import Watch
from zoo.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from zoo.core.metadata import CheckpointInfo
    from zoo.core.registry import Registry
    from zoo.data.images import Splits
    from zoo.engine.run import Event


def go_on(folder: Path, registry: Registry, *, watch: Watch | None = None) -> Iterator[Event]:
    """Go on with an interrupted run; a finished one gives its result, with its weights mended.

    The number of processes may be another one than before: each step takes the images that it
    would have taken.

    Args:
        folder: The run folder.
        registry: Where its parts are.
        watch: Told about downloads and waits.

    Raises:
        ZooError: No such run, it is in use, its data changed, or what :func:`conduct` raises.
    """
    watch = watch or Watch()
    done = read_result(folder)
    if done is not None:
        mended = mend(folder, done)
        watch.note(f"{folder} is finished{'; ' if mended else ''}{mended}")
        yield done
        return
    if not (folder / RECIPE_FILE).is_file():
        raise UsageError(f"{folder} is not a run folder", hint="zoo runs lists them")
    verb, table = compose.read_recipe(folder / RECIPE_FILE)
    recipe = compose.compose(verb or "finetune", [("recipe", table)]).recipe
    require_free(folder)
    there = located(recipe, folder, registry)
    with ExitStack() as stack:
        world = distributed.from_environment()
        place = early_place(recipe, world)
        stack.enter_context(distributed.join(world, place.device))
        with world.together():
            found = checkpoint.newest_state(folder)
            for text in found.notes():
                yield Note(text=text)
            if found.state is None:
                yield Note(text=f"{folder} has no whole checkpoint: it starts from the beginning")
                start = begin(there, registry, watch)
                splits = open_recipe_data(there, registry, shown_by(start, recipe).size[0])
                built = build(start, recipe, registry, splits.classes)
            else:
                info = found.state.info
                built, start = skeleton(info, registry)
                splits = open_recipe_data(there, registry, built.input.size[0])
                _same_data(info, splits)
            deal(recipe, world.size, len(splits.train))  # refused before anything is built
            yield make_plan(recipe, built.spec, splits, built.input)
            watch.clock.lap("build")
            share = len(splits.train) // world.size
            frozen = freeze_model(built, recipe, pretrained=start.pretrained, images=share)
            start = replace(start, tensors=None)  # the model has them
        run = Run(recipe=recipe, registry=registry, splits=splits, built=built, world=world)
        run.dir = folder
        begun = Begun.of(found.state, there)
        yield from carry_out(run, frozen, start, place, stack, watch, begun=begun)


def _same_data(info: CheckpointInfo, splits: Splits) -> None:
    if info.classes != splits.classes:
        raise DataError(
            f"the run has {len(info.classes)} classes, the data now has {len(splits.classes)} "
            "or other names",
            hint="restore the data, or start a new run from this one: --weights run:NAME",
        )
    if info.data.get("fingerprint") != splits.fingerprint:
        raise DataError(
            "the data changed since the run began: going on would not be the same run",
            hint="restore the data, or start a new run from this one: --weights run:NAME",
        )
