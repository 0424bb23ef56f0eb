"""The verbs, for Python: thin, and the same that the command line calls.

::

    import zoo

    zoo.list_models("resnet*")
    model = zoo.create_model("resnet18:imagenet1k_v1", classes=300)   # a plain nn.Module
    zoo.predict("runs/resnet18-photos-001", ["cat.jpg"])

Those that train are in :mod:`zoo.engine.verbs`, those that explain in :mod:`zoo.explaining.verbs`,
those of the Hub in :mod:`zoo.hub.verbs`; the preview is in :mod:`zoo.report.preview`.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core import names
from zoo.core import registry as registries
from zoo.core.request import request_as_named
from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from torch import nn

    from zoo.core.specs import ModelSpec
    from zoo.engine.freezing.plan import FreezePlan
    from zoo.engine.judging.judge import Prediction
    from zoo.engine.judging.judgement import Judgement
    from zoo.engine.start.loaded import Loaded
    from zoo.explaining.summary import Summary
    from zoo.exporting.formats import ExportResult


def list_models(pattern: str = "*", *, plugin: str | None = None) -> list[str]:
    """Names of models, sorted as people sort.

    Args:
        pattern: With ``*`` and ``?``, a piece of a name, or a tag, as for ``zoo list``.
        plugin: Only this plugin's; ``zoo`` for the built-in ones.
    """
    shelf = registries.load().shelf("model")
    found = [
        name
        for name, spec in shelf.items()
        if names.matches(pattern, (name, spec.name, *spec.aliases), spec.tags)
        and plugin in (None, spec.plugin)
    ]
    return sorted(found, key=lambda name: (shelf[name].plugin != "zoo", names.natural_key(name)))


def model_info(name: str) -> ModelSpec:
    """What the registry knows about a model, without importing it.

    Raises:
        UnknownNameError: No plugin has it.
    """
    return registries.load().model(names.parse(name).qualified)


def create_model(
    name: str,
    *,
    classes: int | Sequence[str] | None = None,
    weights: str | None = None,
    seed: int = 0,
    **keywords: Any,
) -> nn.Module:
    """Build a model: a plain ``nn.Module`` on the CPU, in eval mode.

    Args:
        name: ``resnet18`` (random weights), ``resnet18:imagenet1k_v1``, ``hub:org/repo``,
            ``file:PATH`` or ``run:NAME``.
        classes: Number or names of classes; default: the weights' own.
        weights: ``default``, ``none``, a tag or a source; default: what ``name`` says.
        seed: Of whatever is not loaded.
        **keywords: ``in_channels``, ``drop_last``, ``project``, ``model_option`` ..., as in
            :func:`finetune`.

    Raises:
        UnknownNameError: No plugin has the model.
        HubError: The weights cannot be fetched.
        CheckpointError: They do not fit.
        UsageError: One name was given where a list of names is meant.
    """
    from zoo.engine.parts import build
    from zoo.engine.start.weights import find_start

    known = registries.load()
    if isinstance(classes, str):
        raise UsageError(
            f"classes is a number or a list of names, not {classes!r}",
            hint=f"classes=[{classes!r}]",
        )
    labels = () if classes is None or isinstance(classes, int) else tuple(classes)
    if classes is not None:
        keywords["classes"] = len(labels) or classes
    values = {"weights": weights, "seed": seed, **keywords}
    recipe = request_as_named(name, values, registry=known)
    start = find_start(recipe, known)
    return build(start, recipe, known, labels).model.eval()


def summary(name: str, *, classes: int | None = None, **options: Any) -> Summary:
    """Every module of a model: output shape, parameters, operations for one image.

    Args:
        name: A model; it is built without weights, on the meta device where it can be.
        classes: Number of classes; default: the model's own.
        **options: Options of the model.

    Raises:
        UnknownNameError: No plugin has it.
        UsageError: It does not run on its declared input.
    """
    import torch

    from zoo.explaining.summary import summarise

    known = registries.load()
    spec = known.model(names.parse(name).qualified)
    if classes is not None:
        options["num_classes"] = classes
    try:
        with torch.device("meta"):
            model: nn.Module = known.build("model", spec.qualified, **options)
    except (RuntimeError, NotImplementedError):  # it computes while it is built
        model = known.build("model", spec.qualified, **options)
    return summarise(model, spec.input)


def load(
    model: str | Path,
    *,
    runs: str = "runs",
    progress: Callable[[int, int | None], None] | None = None,
    note: Callable[[str], None] | None = None,
) -> Loaded:
    """Load a trained model, with its class names and everything its checkpoint knows.

    Args:
        model: A run's name or folder, a safetensors file written by zoo, ``hub:org/repo``, or a
            model of the registry with its published weights: ``resnet18``, ``resnet18:TAG``.
        runs: Folder that runs lie in.
        progress: Called with (bytes so far, total or ``None``) during a download.
        note: Told about waits, one line each.

    Raises:
        HubError: The weights cannot be fetched.
        CheckpointError: Missing, damaged, or it does not fit what it says.
    """
    from zoo.engine.start.loading import load_run

    return load_run(str(model), registries.load(), runs=runs, progress=progress, note=note)


def _opened(model: str | Path | Loaded, runs: str) -> Loaded:
    return load(model, runs=runs) if isinstance(model, str | Path) else model


def freeze_upto(
    model: nn.Module, target: str, *, name: str | None = None, frozen_bn: str = "eval"
) -> FreezePlan:
    """Freeze everything that feeds ``target``'s output, itself included, in any module.

    Args:
        model: Any module that takes one image batch ``(N, C, H, W)``.
        target: A stage name or a module path.
        name: The model's name, for the registry's stage names.
        frozen_bn: ``eval``, ``update`` or ``affine``.

    Raises:
        FreezeError: The target does not exist, or nothing would be left to train.
    """
    from zoo.engine.freezing import freeze

    spec = model_info(name) if name else None
    return freeze.freeze_upto(model, target, frozen_bn=frozen_bn, spec=spec)


def evaluate(
    model: str | Path | Loaded,
    *,
    data: str | Path | None = None,
    split: str = "val",
    metric: Sequence[str] | None = None,
    data_root: str | None = None,
    data_option: Mapping[str, Any] | None = None,
    download: bool | None = None,
    batch_size: int | None = None,
    device: str = "auto",
    precision: str | None = None,
    on_bad_image: str | None = None,
    report: str | Path | None = None,
    corruptions: bool = False,
    tta: bool = False,
    progress: Callable[[int, int], None] | None = None,
    runs: str = "runs",
) -> Judgement:
    """Measure a trained model on labelled images.

    Args:
        model: As for :func:`load`, or what it gave.
        data: Folder or data set; default: the validation images that it was trained beside.
        split: Split of the data.
        metric: Further metrics by name; default: those of the run's recipe.
        data_root: Folder in which named data sets lie.
        data_option: Options of a named data set.
        download: Whether a named data set may download itself.
        batch_size: Images at a time; default: as in the run.
        device: ``auto``, ``cpu``, ``cuda`` ...
        precision: ``auto``, ``fp32``, ``bf16`` or ``fp16``; default: as in the run, so that its
            own images give its own numbers.
        on_bad_image: ``error`` or ``skip``; default: as in the run.
        report: HTML file to write as well: numbers, charts and the surest mistakes.
        corruptions: Also measure on images that are spoilt: noisy, blurred, too bright, pale,
            coarse, compressed.
        tta: Answer with the mean over each image and its mirror image (test-time augmentation).
        progress: Told of spoilt images: how many of how many.
        runs: Folder that runs lie in.

    Raises:
        DataError: No such images, or classes that the model does not know.
        UsageError: The file of the report is something else.
    """
    if report is not None:
        from zoo.report.target import check_target

        check_target(Path(report))
    from zoo.core.judging import judging
    from zoo.engine.judging.judge import judge

    loaded = _opened(model, runs)
    given: dict[str, Any] = {"data.batch_size": batch_size, "data.on_bad_image": on_bad_image}
    given |= {"data.root": data_root, "device.precision": precision, "data.source": data}
    given |= {"data.options": data_option, "data.download": download or None}
    wish = judging(loaded.info.recipe, device, given) | {"closely": report is not None}
    wish |= {"corruptions": corruptions, "tta": tta, "progress": progress}
    found = judge(loaded, registries.load(), split=split, metrics=metric, **wish)
    if report is None:
        return found
    from zoo.report.page import write_report

    return write_report(found, loaded, Path(report))


def predict(
    model: str | Path | Loaded,
    images: Sequence[str | Path],
    *,
    top: int = 5,
    device: str = "auto",
    on_bad_image: str = "error",
    tta: bool = False,
    runs: str = "runs",
    note: Callable[[str], None] | None = None,
) -> list[Prediction]:
    """Classify images.

    Args:
        model: As for :func:`load`, or what it gave.
        images: Files and folders.
        top: Classes to give for each image.
        device: ``auto``, ``cpu``, ``cuda`` ...
        on_bad_image: ``error`` or ``skip``.
        tta: Answer with the mean over each image and its mirror image (test-time augmentation).
        runs: Folder that runs lie in.
        note: Told which images were left out and what was changed on reading, one line each.

    Raises:
        UsageError: No images were given.
        DataError: Nothing there, or unreadable files.
    """
    from zoo.core.recipe import DevicePart
    from zoo.engine.judging import judge

    if not images:
        raise UsageError("no images were given", hint="zoo.predict(run, ['cat.jpg', 'folder'])")
    place = DevicePart(device=device, precision="fp32")
    loaded, known = _opened(model, runs), registries.load()
    wish: dict[str, Any] = {"top": top, "on_bad_image": on_bad_image, "tta": tta, "note": note}
    return list(judge.predict(loaded, known, images, device=place, **wish))


def export(
    model: str | Path | Loaded,
    *,
    format: str = "torch-export",  # noqa: A002 - the flag's name
    out: str | Path | None = None,
    tolerance: float = 1e-4,
    check: int = 32,
    options: Mapping[str, Any] | None = None,
    runs: str = "runs",
) -> ExportResult:
    """Write a trained model in another format, and check what was written.

    Args:
        model: As for :func:`load`, or what it gave.
        format: Exporter by name (``zoo list --kind exporter``).
        out: File or folder; default: beside the run's weights, else this folder.
        tolerance: Largest difference allowed, as a share of the largest output.
        check: Validation images that zoo and the file must give the same labels for; 0 = none.
        options: Options of the exporter.
        runs: Folder that runs lie in.

    Raises:
        VerificationError: The file computes something else, or gives other labels.
        UsageError: The format needs a package that is not installed.
    """
    from zoo.exporting.parity import export_run

    loaded = _opened(model, runs)
    return export_run(
        loaded,
        registries.load(),
        format,
        Path(out) if out is not None else loaded.path.parent if loaded.own else Path(),
        tolerance=tolerance,
        options=options,
        check=check,
    )
