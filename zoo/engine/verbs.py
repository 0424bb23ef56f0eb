"""The verbs that train, for Python; the command line's commands of these names do the same.

::

    result = zoo.finetune("resnet18", data="photos", freeze_upto="layer3")
    for report in zoo.fit("finetune", "resnet18", data="photos"): ...
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core import registry as registries
from zoo.core.request import request
from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from zoo.engine.rangetest import RangeTest
    from zoo.engine.result import RunResult


def fit(
    verb: str,
    model: str | None = None,
    *,
    recipe: str | Path | None = None,
    set: Mapping[str, Any] | Iterable[str] = (),  # noqa: A002 - the flag's name
    note: Callable[[str], None] | None = None,
    **keywords: Any,
) -> Iterator[Any]:
    """Run, and yield what happens: plans, step and epoch reports, saves, the result last.

    The loop is yours to break: the run can be resumed from its last save.

    Args:
        verb: ``finetune`` or ``train``.
        model: Model reference; may stand in the recipe file instead.
        recipe: Recipe file.
        set: Recipe fields by dotted key, or ``KEY=VALUE`` texts.
        note: Told about downloads and waits.
        **keywords: The flags of the command line with underscores (:mod:`zoo.core.flags`).

    Raises:
        ZooError: Anything that is wrong.
    """
    return _conduct(verb, model, keywords, recipe=recipe, set=set, note=note)


def finetune(model: str | None = None, **keywords: Any) -> RunResult:
    """Fine-tune a pretrained model; see :func:`fit` for the arguments.

    Example::

        zoo.finetune("resnet18", data="photos", freeze_upto="layer3", epochs=5)

    Raises:
        ZooError: Anything that is wrong.
    """
    return _last(fit("finetune", model, **keywords))


def train(model: str | None = None, **keywords: Any) -> RunResult:
    """Train a model from scratch; see :func:`fit` for the arguments.

    Raises:
        ZooError: Anything that is wrong.
    """
    return _last(fit("train", model, **keywords))


def find_lr(
    model: str | None = None,
    *,
    verb: str = "finetune",
    recipe: str | Path | None = None,
    set: Mapping[str, Any] | Iterable[str] = (),  # noqa: A002 - the flag's name
    note: Callable[[str], None] | None = None,
    **keywords: Any,
) -> RangeTest:
    """Try learning rates for a hundred steps, and suggest one; no run is made.

    Example::

        found = zoo.find_lr("resnet18", data="photos", freeze_upto="layer3")
        zoo.finetune("resnet18", data="photos", freeze_upto="layer3", lr=found.suggestion)

    Args:
        model: Model reference; may stand in the recipe file instead.
        verb: ``finetune`` or ``train``: whose run it is for.
        recipe: Recipe file.
        set: Recipe fields by dotted key, or ``KEY=VALUE`` texts.
        note: Told about downloads and waits.
        **keywords: As for :func:`fit`.

    Raises:
        ZooError: Anything that is wrong.
    """
    from zoo.engine.rangetest import RangeTest

    events = _conduct(verb, model, keywords, recipe=recipe, set=set, note=note, find_lr=True)
    for event in events:
        if isinstance(event, RangeTest):
            return event
    raise UsageError("this process does not hold the result", hint="look at rank 0")


def resume(run: str | Path, *, runs: str = "runs") -> RunResult:
    """Go on with an interrupted run.

    Args:
        run: A run's name or folder.
        runs: Folder that runs lie in.

    Raises:
        ZooError: No such run, it is in use, or its data changed.
    """
    from zoo.engine.resume import go_on
    from zoo.engine.start.stored import run_folder

    return _last(go_on(run_folder(str(run), runs), registries.load()))


def _last(events: Iterator[Any]) -> RunResult:
    from zoo.engine.result import RunResult

    result = None
    for event in events:
        result = event if isinstance(event, RunResult) else None
    if result is None:
        raise UsageError("this process does not hold the result", hint="look at rank 0")
    return result


def _conduct(
    verb: str,
    model: str | None,
    keywords: Mapping[str, Any],
    *,
    recipe: str | Path | None,
    set: Mapping[str, Any] | Iterable[str],  # noqa: A002 - the flag's name
    note: Callable[[str], None] | None,
    find_lr: bool = False,
) -> Iterator[Any]:
    from zoo.engine.run import conduct
    from zoo.engine.watch import Watch

    known = registries.load()
    file = Path(recipe) if recipe is not None else None
    composed = request(verb, model, keywords, registry=known, file=file, sets=set)
    watch = Watch(note=note) if note else Watch()
    return conduct(composed.recipe, known, watch=watch, find_lr=find_lr)
