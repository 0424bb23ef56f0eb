"""What a run will do, said before it does it. Imports no torch: ``--dry-run`` answers at once."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core import names
from zoo.core.metadata import WEIGHTS_FILE, read_header
from zoo.core.settings import torch_checkpoints
from zoo.core.specs import InputSpec, ModelSpec, WeightsSpec
from zoo.data.cuts import cuts
from zoo.data.labels import ASKED
from zoo.data.sources import open_data
from zoo.engine.sizes import agree, fit_input
from zoo.engine.start.stored import weights_path
from zoo.engine.transforms import auto_transform
from zoo.errors import DataError

if TYPE_CHECKING:
    from zoo.core.recipe import Recipe
    from zoo.core.registry import Registry
    from zoo.data.images import Splits


@dataclass(frozen=True, slots=True)
class Plan:
    """Lines for people, and the facts behind them.

    Attributes:
        lines: ``(topic, text)``, in the order of the run.
        notes: What a careful person would look into.
        facts: The same for programs.
    """

    lines: tuple[tuple[str, str], ...]
    notes: tuple[str, ...]
    facts: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready dictionary."""
        return {"plan": dict(self.lines), "notes": list(self.notes), **self.facts}


def open_recipe_data(recipe: Recipe, registry: Registry, channels: int) -> Splits:
    """Open the recipe's data: scanned and checked, nothing decoded.

    Args:
        recipe: A checked recipe.
        registry: Where named data sets are.
        channels: Channels that the model wants.

    Raises:
        DataError: Missing, broken, or of another number of classes than was asked for.
    """
    wanted, asked = recipe.surgery.classes, ASKED
    if recipe.surgery.project and wanted is None:
        *rest, wanted = recipe.surgery.project
        asked = "--project " + "".join(f"{size}," for size in rest)
    return open_data(
        recipe.data,
        registry=registry,
        classes=wanted,
        channels=channels,
        seed=recipe.device.seed,
        asked=asked,
    )


def early_plan(recipe: Recipe, registry: Registry) -> Plan:
    """The plan as far as it can be known without torch: the data is opened, nothing is built.

    Nothing is downloaded, either, also where the recipe says that data may be.

    Raises:
        DataError: The data is missing or broken.
    """
    spec = model_spec(recipe, registry)
    shown = expected_input(recipe, spec)
    here = replace(recipe, data=replace(recipe.data, download=False))
    try:
        splits = open_recipe_data(here, registry, shown.size[0])
    except DataError as error:
        if recipe.data.download and "--download" in error.hint:
            error.hint = "a dry run downloads nothing: leave --dry-run out"
        raise
    return make_plan(recipe, spec, splits, shown)


def model_spec(recipe: Recipe, registry: Registry) -> ModelSpec | None:
    """The registry entry of the recipe's model; ``None`` where a repository or file says it."""
    reference = names.parse(recipe.model.name)
    return None if reference.source else registry.model(reference.qualified)


def expected_input(recipe: Recipe, spec: ModelSpec | None) -> InputSpec:
    """What the model will be shown, as far as it can be known without fetching anything.

    Files and runs are asked; a repository on the Hub is not, so that the architecture's own
    input (or the usual one) stands for it until it is fetched.

    Args:
        recipe: A checked recipe.
        spec: The model's registry entry, if it is named.

    Raises:
        CheckpointError: The file or run is missing, or is no checkpoint.
        UsageError: The weights are for images of another size.
    """
    wanted = recipe.model.weights
    options = dict(recipe.model.options)
    given = (spec.input if spec else None) or InputSpec()
    if wanted.startswith(("file:", "run:")):
        info = read_header(weights_path(wanted, recipe.output.dir)).info
        if info is not None:
            given, options = info.input or given, {**info.options, **options}
    elif spec is not None and wanted != "none":
        found = next((w for w in spec.weights if wanted in ("default", w.name)), None)
        if found is not None:
            given, options = found.input or given, {**found.options, **options}
    if spec is not None and not wanted.startswith("hub:"):
        size, pretrained = recipe.data.size, wanted != "none"
        _, given = agree(spec, options, given, size, pretrained=pretrained)
    return fit_input(given, recipe.data.size, recipe.surgery.in_channels)


def make_plan(
    recipe: Recipe,
    spec: ModelSpec | None,
    splits: Splits,
    shown: InputSpec,
    *,
    writes: bool = True,
) -> Plan:
    """Say what a recipe will do with this data.

    Args:
        recipe: A checked recipe.
        spec: The model's registry entry, if it has one.
        splits: The opened data.
        shown: What the model will be shown.
        writes: Whether there will be a run folder.
    """
    steps = steps_per_epoch(recipe, len(splits.train))
    folder = Path(recipe.output.dir) / (recipe.output.name or stem(recipe, splits) + "-NNN")
    lines = [
        ("model", _model(recipe, spec, len(splits.classes))),
        ("weights", _weights(recipe, spec)),
        ("freeze", _freeze(recipe)),
        ("data", data_line(splits, recipe.data.fold)),
        ("input", _input(recipe, shown)),
        ("training", _training(recipe, steps)),
        ("device", f"{recipe.device.device}, precision {recipe.device.precision}"),
        ("processes", _processes(recipe)),
        ("output", f"{folder}/" if writes else "no run: a range test of the learning rate"),
    ]
    facts = {
        "data": splits.to_dict(),
        "steps_per_epoch": steps,
        "steps": steps * recipe.optim.epochs,
    }
    notes = (*splits.notes, *_few(recipe, len(splits.train)), *splits.warnings)
    return Plan(tuple((k, v) for k, v in lines if v), notes, facts)


def _few(recipe: Recipe, images: int) -> tuple[str, ...]:
    """Fewer images than a batch are one batch, and all of them are used."""
    batch = recipe.data.batch_size
    return (f"{images} training images make one batch, not {batch}",) if images < batch else ()


def steps_per_epoch(recipe: Recipe, images: int) -> int:
    """Optimizer steps of an epoch, a partial last batch and window included."""
    batches = len(cuts(images, recipe.data.batch_size, world=recipe.device.nproc))
    return -(-batches // recipe.optim.accumulate)


def stem(recipe: Recipe, splits: Splits) -> str:
    """A run's default name without its number: model and data."""
    model = recipe.model.name.rpartition("/")[2].rpartition(":")[2]
    if recipe.model.name.startswith("file:"):
        file = Path(recipe.model.name.removeprefix("file:"))
        model = file.resolve().parent.name if file.name == WEIGHTS_FILE else file.stem
    data = Path(splits.name).name or "data"
    return f"{model}-{data}"


def data_line(splits: Splits, fold: str | None = None) -> str:
    """Counts of a data set for people.

    Args:
        splits: The opened data.
        fold: Which fold validates, ``N/K``, if it is one.
    """
    return (
        f"{splits.name}: {len(splits.classes)} classes, {len(splits.train):,} training and "
        f"{len(splits.val):,} validation images" + (f" (fold {fold})" if fold else "")
    )


def _model(recipe: Recipe, spec: ModelSpec | None, classes: int) -> str:
    if spec is None:
        return recipe.model.name
    outputs = f"with {spec.classes} classes" if spec.classes else "that give features"
    size = f", {spec.params:,} parameters {outputs}" if spec.params else ""
    surgery = recipe.surgery
    if surgery.project:
        end = f"; head {spec.head} becomes {' -> '.join(map(str, surgery.project))}"
    elif surgery.drop_last:
        end = f"; without its last layer {spec.head}"
    else:
        end = f"; head {spec.head or '(looked for)'} for {classes} classes"
    channels = f"; {surgery.in_channels} input channels" if surgery.in_channels else ""
    return f"{spec.qualified}{size}{end}{channels}"


def _weights(recipe: Recipe, spec: ModelSpec | None) -> str:
    wanted = recipe.model.weights
    if wanted == "none":
        return "none: random, from the seed"
    if spec is None or names_a_source(wanted):
        return wanted
    found = next((w for w in spec.weights if wanted in ("default", w.name)), None)
    if found is None:
        return f"{wanted}: {spec.qualified} has none"
    return f"{found.name}, {_place(found)}"


def names_a_source(text: str) -> bool:
    """Whether a ``--weights`` value spells a source rather than a tag."""
    return text.partition(":")[0] in names.SOURCES and ":" in text


def _place(weights: WeightsSpec) -> str:
    """Where weights are, or will come from."""
    kind, _, rest = weights.source.partition(":")
    if kind in ("file", "package"):
        return f"from {weights.source}"
    if _cached(kind, rest, weights):
        return "cached"
    if kind == "url" and (torch_checkpoints() / weights.file).is_file() and weights.sha256:
        return "the copy of torch.hub, if its digest is right"
    return f"to fetch from {weights.source}"


def _cached(kind: str, rest: str, weights: WeightsSpec) -> bool:
    if kind == "url":
        from zoo.hub.urls import converted_path

        return converted_path(rest).is_file()
    from zoo.hub.cache import cached_file, resolve_cached

    repo, _, revision = rest.partition("@")
    commit = resolve_cached(repo, revision or weights.revision or "main")
    return bool(commit) and cached_file(repo, commit, weights.file) is not None


def _freeze(recipe: Recipe) -> str:
    part = recipe.freeze
    said = [f"up to and including {part.upto}"] if part.upto else []
    said += [f"everything before {part.before}"] if part.before else []
    said += [f"{glob}" for glob in part.freeze]
    said += [f"but not {glob}" for glob in part.unfreeze]
    if part.unfreeze_at:
        from zoo.core.unfreezing import epochs_in_words, parse_unfreeze_at

        later = [parse_unfreeze_at(text) for text in part.unfreeze_at]
        said += [f"{target} trains after {epochs_in_words(epoch)}" for epoch, target in later]
    if part.lora is not None:
        said += [f"the rest but the head has adapters of rank {part.lora}"]
    if not said:
        return "nothing"
    norms = {"eval": "held", "update": "statistics move", "affine": "scale and shift train"}
    return "; ".join(said) + f"; its batch norms: {norms[part.frozen_bn]}"


def _input(recipe: Recipe, shown: InputSpec) -> str:
    channels, height, width = shown.size
    train = _chosen(recipe.data.train_transform, shown, train=True)
    judged = _chosen(recipe.data.eval_transform, shown, train=False)
    batch = "".join(f" + {name}" for name in recipe.data.batch_transforms)
    return f"{channels} x {height} x {width}; transform {train}{batch}, eval {judged}"


def _processes(recipe: Recipe) -> str:
    if recipe.device.nproc == 1:
        return ""
    norms = "; batch norms synchronised" if recipe.device.sync_bn else ""
    shared = {
        "ddp": "gradients averaged (DDP)",
        "fsdp": "parameters, gradients and optimizer state sharded (FSDP2)",
    }[recipe.device.parallel]
    count, each = recipe.device.nproc, recipe.data.batch_size
    return f"{count}, {each} images of a batch each; {shared}{norms}"


def _chosen(name: str, shown: InputSpec, *, train: bool) -> str:
    return auto_transform(shown, train=train) if name == "auto" else name


def _several(count: int | float, what: str) -> str:
    number = f"{count:g}" if isinstance(count, float) else f"{count}"
    return f"{number} {what}" if count == 1 else f"{number} {what}s"


def _training(recipe: Recipe, steps: int) -> str:
    optim = recipe.optim
    batch = recipe.data.batch_size * optim.accumulate * recipe.device.nproc
    warm = f", warm-up {_several(optim.warmup, 'epoch')}" if optim.warmup else ""
    smooth = (
        f", label smoothing {recipe.loss.label_smoothing:g}" if recipe.loss.label_smoothing else ""
    )
    epochs, each = _several(optim.epochs, "epoch"), _several(steps, "step")
    limit = f", {optim.max_time} at most" if optim.max_time else ""
    part = recipe.loss
    taught = f"{part.teacher}, share {part.teacher_share:g}, temperature {part.temperature:g}"
    smooth += f" and a teacher ({taught})" if part.teacher else ""
    return (
        f"{epochs} x {each} of {_several(batch, 'image')}{limit}; {recipe.loss.name}{smooth}; "
        f"{optim.name}, lr {optim.lr:g}, {optim.schedule}{warm}; seed {recipe.device.seed}"
    )
