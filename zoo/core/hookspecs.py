"""The hooks: one table of catalogue hooks, and the run hooks.

Catalogue hooks have one shape: ``zoo_<kind>s() -> Iterable[<Kind>Spec]``. They are collected from
every plugin, in no order, and must not have side effects. Run hooks influence or observe a run;
none of them is called inside a training step. An implementation may take any subset of the
arguments, so that hooks can grow by adding arguments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, NamedTuple

import pluggy

from zoo.core.specs import (
    CommandSpec,
    DatasetSpec,
    ExporterSpec,
    LossSpec,
    MetricSpec,
    ModelSpec,
    OptimizerSpec,
    PartSpec,
    SchedulerSpec,
    TrackerSpec,
    TransformSpec,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

API_VERSION: Final = 1
"""Version of the plugin api; a plugin states a range such as ``>=1,<2``."""

hookspec = pluggy.HookspecMarker("zoo")
hookimpl = pluggy.HookimplMarker("zoo")
"""Marks a function of a plugin as the implementation of the hook of the same name."""


class Kind(NamedTuple):
    """One kind of part: its hook, its record, the shelf (and TOML plural) that holds it."""

    hook: str
    spec: type[PartSpec]
    shelf: str


KINDS: Final[dict[str, Kind]] = {
    "model": Kind("zoo_models", ModelSpec, "models"),
    "dataset": Kind("zoo_datasets", DatasetSpec, "datasets"),
    "loss": Kind("zoo_losses", LossSpec, "losses"),
    "transform": Kind("zoo_transforms", TransformSpec, "transforms"),
    "optimizer": Kind("zoo_optimizers", OptimizerSpec, "optimizers"),
    "scheduler": Kind("zoo_schedulers", SchedulerSpec, "schedulers"),
    "metric": Kind("zoo_metrics", MetricSpec, "metrics"),
    "exporter": Kind("zoo_exporters", ExporterSpec, "exporters"),
    "tracker": Kind("zoo_trackers", TrackerSpec, "trackers"),
    "command": Kind("zoo_commands", CommandSpec, "commands"),
}
"""Every kind of part by its name, as in ``zoo list --kind`` and ``[[model]]``."""

RUN_HOOKS: Final = (
    "zoo_recipe_defaults",
    "zoo_model_ready",
    "zoo_run_started",
    "zoo_progress",
    "zoo_checkpoint_saved",
    "zoo_run_ended",
)


class CatalogueHooks:
    """What a plugin brings. Each hook is collected from all plugins."""

    @hookspec
    def zoo_models(self) -> Iterable[ModelSpec]:
        """Models.

        Example::

            @hookimpl
            def zoo_models():
                yield ModelSpec(name="tiny", target="my_plugin:tiny", head="fc")
        """
        return ()

    @hookspec
    def zoo_datasets(self) -> Iterable[DatasetSpec]:
        """Data sets.

        Example::

            @hookimpl
            def zoo_datasets():
                yield DatasetSpec(name="leaves", target="my_plugin:Leaves", classes=12)
        """
        return ()

    @hookspec
    def zoo_losses(self) -> Iterable[LossSpec]:
        """Losses.

        Example::

            @hookimpl
            def zoo_losses():
                yield LossSpec(name="focal", target="my_plugin:Focal", options={"gamma": 2.0})
        """
        return ()

    @hookspec
    def zoo_transforms(self) -> Iterable[TransformSpec]:
        """Transforms, from uint8 ``(C, H, W)`` to uint8 ``(C, H, W)``.

        Example::

            @hookimpl
            def zoo_transforms():
                yield TransformSpec(name="rain", target="my_plugin:rain", stage="train")
        """
        return ()

    @hookspec
    def zoo_optimizers(self) -> Iterable[OptimizerSpec]:
        """Optimizers.

        Example::

            @hookimpl
            def zoo_optimizers():
                yield OptimizerSpec(name="lion", target="my_plugin:Lion")
        """
        return ()

    @hookspec
    def zoo_schedulers(self) -> Iterable[SchedulerSpec]:
        """Learning-rate schedules.

        Example::

            @hookimpl
            def zoo_schedulers():
                yield SchedulerSpec(name="steps", target="my_plugin:steps", per="epoch")
        """
        return ()

    @hookspec
    def zoo_metrics(self) -> Iterable[MetricSpec]:
        """Metrics.

        Example::

            @hookimpl
            def zoo_metrics():
                yield MetricSpec(name="kappa", target="my_plugin:Kappa")
        """
        return ()

    @hookspec
    def zoo_exporters(self) -> Iterable[ExporterSpec]:
        """Export formats.

        Example::

            @hookimpl
            def zoo_exporters():
                yield ExporterSpec(name="coreml", target="my_plugin:export", suffix=".mlpackage")
        """
        return ()

    @hookspec
    def zoo_trackers(self) -> Iterable[TrackerSpec]:
        """Experiment trackers.

        Example::

            @hookimpl
            def zoo_trackers():
                yield TrackerSpec(name="board", target="my_plugin:Board")
        """
        return ()

    @hookspec
    def zoo_commands(self) -> Iterable[CommandSpec]:
        """Commands of their own under ``zoo``.

        Example::

            @hookimpl
            def zoo_commands():
                yield CommandSpec(name="label", target="my_plugin.cli:label", summary="Label images")
        """
        return ()


class RunHooks:
    """What a plugin may influence in a run, or watch. The first two may abort it by raising."""

    @hookspec
    def zoo_recipe_defaults(self, verb: str, model: ModelSpec) -> Mapping[str, Any] | None:
        """Suggest recipe values, dotted key -> value, below the recipe file and the flags.

        Example::

            @hookimpl
            def zoo_recipe_defaults(verb, model):
                return {"optim.lr": 0.002} if model.family == "vit" else None
        """

    @hookspec
    def zoo_model_ready(self, run: Any, model: Any) -> None:
        """The model is built, loaded, cut and frozen; nothing is wrapped yet.

        May change its values and settings, not its modules: what is evaluated and exported later is
        built from the registry and the checkpoint, without this hook.

        Example::

            @hookimpl
            def zoo_model_ready(model):
                for layer in model.modules():
                    if type(layer).__name__ == "Dropout":
                        layer.p = 0.3
        """

    @hookspec
    def zoo_run_started(self, run: Any) -> None:
        """The first step is about to be taken. ``run.dir`` is the run folder.

        Example::

            @hookimpl
            def zoo_run_started(run):
                (run.dir / "host.txt").write_text("here")
        """

    @hookspec
    def zoo_progress(self, run: Any, report: Any) -> None:
        """An epoch ended; ``report`` holds its numbers.

        ``report.val`` are those of the validation images, or ``None``; ``report.scalars()`` are
        all of them by name.

        Example::

            @hookimpl
            def zoo_progress(run, report):
                with (run.dir / "numbers.txt").open("a") as file:
                    print(report.epoch, report.val and report.val.top1, report.scalars(), file=file)
        """

    @hookspec
    def zoo_checkpoint_saved(self, run: Any, path: Path) -> None:
        """A checkpoint was written and verified.

        Example::

            @hookimpl
            def zoo_checkpoint_saved(run, path):
                (run.dir / "newest.txt").write_text(path.name)
        """

    @hookspec
    def zoo_run_ended(self, run: Any, result: Any) -> None:
        """The run is over; ``result`` is its RunResult, or the error that ended it.

        Example::

            @hookimpl
            def zoo_run_ended(run, result):
                (run.dir / "end.txt").write_text(str(getattr(result, "metrics", result)))
        """
