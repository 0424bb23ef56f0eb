"""The live parts of a run, built in the one right order.

build -> load -> surgery (:mod:`zoo.engine.parts`), then here: freeze, move, optimizer over what
trains, averaged copy, loaders, loss. Wrapping (DDP, compile) comes last, in the loop.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

import torch
from torch import nn

from zoo.core import settings
from zoo.core.protocols import Loss, Metric
from zoo.core.request import MEASURED
from zoo.core.specs import InputSpec, MetricSpec
from zoo.data.loaders import make_loader
from zoo.engine.classnames import build_metrics
from zoo.engine.cores import usable_cores
from zoo.engine.ema import Ema
from zoo.engine.feed import Feed
from zoo.engine.freezing.adapt import adapt
from zoo.engine.freezing.freeze import plan_freeze
from zoo.engine.freezing.frozen import Frozen
from zoo.engine.optim import as_stated, build_optimizer, build_schedule, parameter_groups
from zoo.engine.place import Place, choose, make_scaler, settle
from zoo.engine.plan import steps_per_epoch
from zoo.engine.prefix.amounts import parse_size
from zoo.engine.prefix.choice import parse_views
from zoo.engine.prefix.identity import identity_of
from zoo.engine.prefix.setting import CacheWish
from zoo.engine.prefix.use import use_prefix
from zoo.engine.processes import distributed, sharded
from zoo.engine.processes.deal import Deal, deal
from zoo.engine.reading import keep_images
from zoo.engine.rules import Rules, parse_every, parse_time
from zoo.engine.saving.live import Live
from zoo.engine.teacher import Teacher, find_teacher
from zoo.engine.timings import Waited
from zoo.engine.trainsize import size_line, training_input, trains_partly
from zoo.engine.transforms import batch_transforms, image_transform
from zoo.engine.tryout import forward_once, try_out

if TYPE_CHECKING:
    from zoo.core.recipe import DataPart, Recipe
    from zoo.core.registry import Registry
    from zoo.data.images import Splits
    from zoo.engine.begun import Begun
    from zoo.engine.parts import Built
    from zoo.engine.prefix.use import Prefixed
    from zoo.engine.processes.distributed import World


@dataclass(frozen=True, slots=True, kw_only=True)
class Assembly:
    """Everything that the loop needs.

    Attributes:
        place: Where it computes.
        frozen: The frozen part.
        live: What training changes.
        loss: What is minimised.
        metrics: What is measured besides, by name.
        feed: Prepares batches.
        train: Loader of training images, or of what the frozen part makes of them.
        val: The same of validation images.
        rules: How long, what to watch.
        cut: A whole model to the part that the loop runs.
        seen: What training shows the model.
        sizes: How that differs from evaluation, one line, or empty.
        prefix: What was decided about the frozen part's outputs, one line, or empty.
        teacher: Whose answers count in the loss, too.
        kept: Which images stay in memory once they are read, one line, or empty.
        sharded: How the parameters are shared out, one line, or empty.
        notes: What a person should know.
    """

    place: Place
    frozen: Frozen
    live: Live
    loss: Loss
    metrics: dict[str, Metric]
    feed: Feed
    train: Any
    val: Any
    rules: Rules
    cut: Callable[[nn.Module], nn.Module]
    seen: InputSpec
    sizes: str = ""
    prefix: str = ""
    teacher: Teacher | None = None
    kept: str = ""
    sharded: str = ""
    notes: tuple[str, ...] = ()

    def parts(self, world: World) -> dict[str, Any]:
        """What :func:`zoo.engine.loop.fit` takes to train, without saving or evaluating."""
        return {
            "train": self.train, "loss": self.loss, "feed": self.feed, "place": self.place,
            "world": world, "hold": self.frozen.hold, "thaw": self.frozen.thaw, "cut": self.cut,
            "teacher": self.teacher,
        }  # fmt: skip


def early_place(recipe: Recipe, world: World) -> Place:
    """Where the run will compute; asked first, so that a missing device costs nothing.

    Raises:
        DeviceError: It is not there, or it is the CPU and norms are to be synchronised.
        UsageError: Parameters are to be sharded, together with what does not allow for it.
    """
    place = choose(recipe.device, local_rank=world.local_rank, local_size=world.local_size)
    if recipe.device.sync_bn:
        distributed.require_accelerator(place.device)
    sharded.require_shardable(recipe, world, precision=place.precision)
    return place


def freeze_model(
    built: Built, recipe: Recipe, *, pretrained: bool, images: int | None = None
) -> Frozen:
    """Plan the recipe's freezing for a built model, apply it, and try the model out.

    Args:
        built: The model.
        recipe: A checked recipe.
        pretrained: Whether it starts from weights.
        images: Training images of a process; a batch has no more.

    Raises:
        FreezeError: It cannot mean what was asked.
        UsageError: The model does not take images of this size.
    """
    part, adapters = recipe.freeze, ""
    if part.lora is not None:
        part, adapters = adapt(built.model, built.spec, part, built.input, seed=recipe.device.seed)
    plan = plan_freeze(built.model, built.spec, part, built.input, pretrained=pretrained)
    plan = replace(plan, adapters=adapters)
    frozen = Frozen(built.model, plan)
    try_out(
        built.model,
        built.input,
        name=built.spec.qualified,
        batch_size=min(recipe.data.batch_size, images or recipe.data.batch_size),
        hold=frozen.hold,
        declared=built.spec.input,
    )
    return frozen


def assemble(
    recipe: Recipe,
    registry: Registry,
    built: Built,
    frozen: Frozen,
    splits: Splits,
    *,
    place: Place,
    world: World,
    begun: Begun | None = None,
) -> Assembly:
    """Make everything else from a built and frozen model.

    Args:
        recipe: A checked recipe.
        registry: Where parts are.
        built: The model.
        frozen: Its frozen part.
        splits: The data.
        place: Where it computes.
        world: The ranks.
        begun: What was decided before, if the run goes on.

    Raises:
        UsageError: A part does not take its options, or the batch cannot be dealt to the ranks.
    """
    settle(place, spare=recipe.data.cache == "disk")
    seen = training_input(
        recipe, registry, built, frozen.hold, partly=trains_partly(built.model, frozen.plan)
    )
    share = deal(recipe, world.size, len(splits.train))
    slices = recipe.device.parallel == "fsdp" and world.size > 1
    if slices:
        place = replace(place, channels_last=False)  # slices are of contiguous parameters
    model = _placed(built.model, place)
    if recipe.device.sync_bn:
        distributed.synchronise_norms(model, place.device, frozen=frozen.plan.norms)
    ema = Ema(model, recipe.optim.ema) if recipe.optim.ema else None
    parts = _shard(built, model, ema, world) if slices else ""
    steps = steps_per_epoch(recipe, len(splits.train))
    live = _live(recipe, registry, built, model, ema, place, steps=steps, later=frozen.later)
    live.position.world, live.position.whole = world.size, share.whole
    mixes = batch_transforms(recipe, registry, built.input, len(splits.classes))
    train, val = _loaders(recipe, registry, built, seen, splits, place, world, share)
    loss = build_loss(recipe, registry, place)
    teacher = find_teacher(recipe, registry, built, splits.classes, seen, place, loss, begun)
    feed = Feed(place, built.input, mixes, sizes=(seen.size[1:], built.input.size[1:]))
    used = use_prefix(
        model, frozen.plan, built.input, seen=seen, train=train, val=val, feed=feed, place=place,
        wish=cache_wish(recipe.data, off=slices, taught=bool(teacher), begun=begun),
        epochs=recipe.optim.epochs, root=settings.cache_dir() / "prefix",
        identity=identity_of(recipe, registry, built, seen, splits),
        lasting=not splits.sampled, world=world,
    )  # fmt: skip
    if used.views is not None:
        live.position.views, live.position.parts = used.views.count, used.views.parts
    return Assembly(
        place=place,
        frozen=frozen,
        live=live,
        loss=loss,
        metrics=build_metrics(recipe.output.metrics, registry, len(splits.classes), splits.classes),
        feed=used.feed,
        train=used.train,
        val=used.val,
        rules=replace(make_rules(recipe, registry), whole=share.whole),
        cut=used.cut,
        seen=seen,
        sizes=size_line(seen, built.input, auto=recipe.data.train_size == "auto"),
        prefix=used.line,
        teacher=teacher,
        kept=_keep(recipe, used, built.input, place, world),
        sharded=parts,
        notes=(*getattr(train, "notes", ()), *used.notes),
    )


def _live(
    recipe: Recipe,
    registry: Registry,
    built: Built,
    model: nn.Module,
    ema: Ema | None,
    place: Place,
    *,
    steps: int,
    later: tuple[str, ...],
) -> Live:
    """What training changes: optimizer and schedule over what trains, or will."""
    spec = replace(built.spec, head=built.report.head or built.spec.head)
    groups = parameter_groups(model, as_stated(recipe.optim, registry), spec, later=later)
    optimizer = build_optimizer(registry, recipe.optim, groups)
    schedule = build_schedule(registry, recipe.optim, optimizer, steps_per_epoch=steps)
    scaler = make_scaler(place)
    return Live(model=model, optimizer=optimizer, schedule=schedule, ema=ema, scaler=scaler)


def _keep(recipe: Recipe, used: Prefixed, shown: InputSpec, place: Place, world: World) -> str:
    return keep_images(
        used.train, used.val, shown, wish=cache_wish(recipe.data), epochs=recipe.optim.epochs,
        place=place, processes=world.local_size,
    )  # fmt: skip


def cache_wish(
    data: DataPart, *, off: bool = False, taught: bool = False, begun: Begun | None = None
) -> CacheWish:
    """What the recipe asks of the frozen part's cache.

    Args:
        data: The recipe's section.
        off: Whether the model cannot be cut (its parameters are sharded).
        taught: Whether it has a teacher, which has to see the images.
        begun: What was decided before, if the run goes on.

    Raises:
        UsageError: The size or the number of views is malformed.
    """
    views = parse_views(data.views)
    size = parse_size(data.cache_size) if data.cache_size is not None else None
    return CacheWish(
        mode="off" if off else data.cache,
        size=size,
        dtype=data.cache_dtype,
        views=views,
        crop=data.view_crop,
        begun=begun.views if begun else None,
        against="the teacher is shown the images" if taught else "",
    )


def _shard(built: Built, model: nn.Module, ema: Ema | None, world: World) -> str:
    """Share the parameters out between the ranks; one line about it."""

    def walk() -> None:
        forward_once(model, built.input)

    parts = sharded.units(model, built.spec.stages, walk)
    for module in (model, ema.module) if ema else (model,):
        sharded.shard(module, parts, world)
    total = sum(p.numel() for p in model.parameters())
    apart = f"{', '.join(parts)}, and the rest" if parts else "the model as one"
    return f"{total:,} parameters over {world.size} processes (FSDP2), gathered by part: {apart}"


def _placed(model: nn.Module, place: Place) -> nn.Module:
    if place.channels_last:
        return model.to(place.device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]
    return model.to(place.device)


def _loaders(
    recipe: Recipe,
    registry: Registry,
    built: Built,
    seen: InputSpec,
    splits: Splits,
    place: Place,
    world: World,
    share: Deal,
) -> tuple[Any, Any]:
    shared: dict[str, Any] = {
        "workers": recipe.data.workers,
        "cores": usable_cores(),
        "threads": place.threads,
        "device": place.device.type,
        "seed": recipe.device.seed,
        "rank": world.rank,
        "world": world.size,
    }
    train = make_loader(
        splits.train,
        image_transform(recipe, registry, seen, train=True),
        batch_size=share.batch_size,
        least=share.least,
        train=True,
        **shared,
    )
    val = make_loader(
        splits.val,
        image_transform(recipe, registry, built.input, train=False),
        batch_size=recipe.data.batch_size,
        train=False,
        **shared,
    )
    return Waited(train), Waited(val)


def build_loss(recipe: Recipe, registry: Registry, place: Place) -> Loss:
    """Build the recipe's loss, on the device if it has tensors.

    Raises:
        UsageError: It does not take one of the options.
    """
    options = dict(recipe.loss.options)
    if recipe.loss.label_smoothing:
        options["label_smoothing"] = recipe.loss.label_smoothing
    loss: Any = registry.build("loss", recipe.loss.name, **options)
    return loss.to(place.device) if isinstance(loss, torch.nn.Module) else loss


def make_rules(recipe: Recipe, registry: Registry) -> Rules:
    """The loop's rules as the recipe states them.

    Args:
        recipe: A checked recipe.
        registry: Where metrics are; they say whether more of them is better.

    Raises:
        UsageError: ``save_every`` is not a count or a time, or ``max_time`` no time.
        UnknownNameError: ``monitor`` is not something that is measured.
    """
    steps, seconds = parse_every(recipe.output.save_every)
    monitor = recipe.output.monitor
    return Rules(
        epochs=recipe.optim.epochs,
        seed=recipe.device.seed,
        accumulate=recipe.optim.accumulate,
        clip=recipe.optim.clip,
        monitor=monitor,
        goal=_goal(monitor, registry),
        patience=recipe.optim.patience,
        on_nan=recipe.optim.on_nan,
        save_steps=steps,
        save_seconds=seconds,
        max_seconds=parse_time(recipe.optim.max_time),
    )


def _goal(monitor: str, registry: Registry) -> Literal["max", "min"]:
    if monitor in MEASURED:
        return "min" if monitor == "loss" else "max"
    spec = registry.find("metric", monitor)
    assert isinstance(spec, MetricSpec)
    return spec.goal
