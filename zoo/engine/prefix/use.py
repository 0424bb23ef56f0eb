"""Using a cut in a run: what is kept where, and what stands in the loop's places.

The decision is made once, before training, and said in one line. ``auto`` keeps in the
accelerator's memory what fits there; else, so that the next run finds it, on the disk what is
small beside what is free there; else in the machine's memory, on the disk as far as its budget
goes, or nothing; of training and validation, validation alone if only that fits. Validation
outputs are exact. Kept training views are those of the first K epochs of the run without a cache.

Several processes keep what each computed of the training images in files that the others map, so
they have to run on one machine; each keeps its own share of the validation images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from torch import nn

from zoo.engine.prefix.amounts import say_size
from zoo.engine.prefix.budget import disk_budget, easy_budget, memory_budget
from zoo.engine.prefix.choice import auto_views
from zoo.engine.prefix.cut import Cut, cut, with_map
from zoo.engine.prefix.entries import Entries, Part
from zoo.engine.prefix.feed import PrefixFeed
from zoo.engine.prefix.runner import PrefixRunner
from zoo.engine.prefix.setting import CacheWish, Setting, Views, Where, fuse, look
from zoo.engine.prefix.source import PrefixSource
from zoo.engine.prefix.windows import HEAD_SIDE
from zoo.engine.processes.distributed import ALONE, World
from zoo.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.core.specs import InputSpec
    from zoo.data.loaders import Loader
    from zoo.engine.feed import Feed
    from zoo.engine.freezing.plan import FreezePlan
    from zoo.engine.place import Place


def _same_model(model: nn.Module) -> nn.Module:
    return model


@dataclass(frozen=True, slots=True, kw_only=True)
class Prefixed:
    """What the loop runs instead.

    Attributes:
        train: Loader of training batches.
        val: Loader of validation batches.
        feed: Prepares them.
        cut: A whole model to the part that the loop runs.
        line: What was decided, for people.
        used: Whether the model is cut.
        notes: What is worth saying once.
        views: What training is shown; ``None`` where the model is not cut.
    """

    train: Any
    val: Any
    feed: Any
    cut: Callable[[nn.Module], nn.Module] = _same_model
    line: str = ""
    used: bool = False
    notes: tuple[str, ...] = ()
    views: Views | None = None

    def close(self) -> None:
        """Let go of stores and loader processes."""
        for source in (self.train, self.val):
            close = getattr(source, "close", None)
            if close is not None:
                close()


def use_prefix(
    model: nn.Module,
    plan: FreezePlan,
    expects: InputSpec,
    *,
    seen: InputSpec | None = None,
    train: Loader,
    val: Loader,
    feed: Feed,
    place: Place,
    wish: CacheWish,
    epochs: int,
    root: Path,
    identity: Mapping[str, str],
    lasting: bool = True,
    world: World = ALONE,
) -> Prefixed:
    """Cut the model and decide what is kept.

    Args:
        model: The model on its device, the plan applied.
        plan: Its freeze plan.
        expects: Its input (C, H, W).
        seen: What training shows it, if that is something else.
        train: Loader of training images.
        val: Loader of validation images.
        feed: Prepares their batches.
        place: Where and how precisely.
        wish: What was asked for.
        epochs: Epochs of the run.
        root: Folder of cache entries.
        identity: ``train`` and ``val``: texts that change whenever the images or their
            transforms do.
        lasting: Whether they do for certain; else nothing is kept for later runs.
        world: The processes.

    Raises:
        UsageError: Parts of kept maps were asked for, and there are none to be had.
    """
    why = _refusal(plan, wish, feed, place)
    made = Cut(model=model, why=why) if why else cut(model, plan, expects)
    if not made.possible:
        said = plan.frozen and wish.mode != "off"
        return _uncut(train, val, feed, wish, epochs, made.why, say=bool(said))

    def see(made: Cut, *, head: bool = False) -> Setting:
        return look(
            made, place, wish, feed, root, identity, world, train, seen, head=head, lasting=lasting
        )

    setting = see(made)
    if not setting.fits:
        why = f"what follows {made.point} takes no images of the training size"
        return _uncut(train, val, feed, wish, epochs, why)
    begun, parts = wish.begun, False
    views = _views(train, setting, epochs) if begun is None else min(begun.count, epochs)
    again = 0 < views < epochs and not train.fixed
    where = _places(setting, train, val, views)
    if _wants_parts(made, wish, again=again):  # of the map that a head pools
        other = see(with_map(made, plan, expects), head=True)
        there = _places(other, train, val, views)
        parts = all(there) if begun is None else begun.parts
        parts = parts and other.windows is not None and min(other.made.shape[1:]) >= HEAD_SIDE
        if parts:
            made, setting, where = other.made, other, there
    _require_windows(setting, again=again)
    notes = _notes(setting, views, *where)
    if not where[0] and wish.views is None and wish.crop is None and begun is None:
        views = 0  # a view costs the same again: auto draws fresh ones
    fuse(setting, feed)
    runner = PrefixRunner(setting.prefix, feed, place, spare=wish.mode == "disk" and setting.folded)
    entries = Entries(setting, train, val, where, views)
    return Prefixed(
        train=_source(entries, runner, train, "train", where[0], views),
        val=_source(entries, runner, val, "val", where[1], 1),
        feed=PrefixFeed(place, setting.natural),
        cut=made.tail,
        line=_line(setting, where, views, epochs, (train, val)),
        used=True,
        notes=notes,
        views=Views(views, parts),
    )


def _wants_parts(made: Cut, wish: CacheWish, *, again: bool) -> bool:
    """Whether a head's views should come back in parts: where that is asked for, or was."""
    begun = wish.begun is not None and wish.begun.parts
    return again and not made.map and (begun or wish.crop not in (None, 1))


def _source(
    entries: Entries, runner: PrefixRunner, loader: Loader, part: Part, where: Where, views: int
) -> PrefixSource:
    """What stands in a loader's place."""
    setting = entries.setting
    return PrefixSource(
        loader,
        runner,
        entries.opener(part) if where else None,
        views=views,
        dtype=setting.stored if views else None,
        nhwc=setting.nhwc,
        windows=setting.windows if part == "train" else None,
        world=setting.world,
    )


def _refusal(plan: FreezePlan, wish: CacheWish, feed: Feed, place: Place) -> str:
    if wish.mode == "off":
        return "the cache is off"
    if plan.ever_frozen and wish.against:
        return wish.against
    if not plan.ever_frozen:
        return "nothing stays frozen for the whole run"
    if feed.batch_transforms:
        return "whole-batch transforms (mixup, cutmix) mix images before the frozen part"
    return "steps are compiled" if place.compile else ""


def _uncut(
    train: Loader,
    val: Loader,
    feed: Feed,
    wish: CacheWish,
    epochs: int,
    why: str,
    *,
    say: bool = True,
) -> Prefixed:
    """The model as it is, and what of the wish comes to nothing by that.

    Raises:
        UsageError: Parts of kept maps were asked for.
    """
    if wish.crop is not None and wish.crop != 1:
        raise UsageError(
            f"--view-crop {wish.crop} is for kept maps, and the model runs uncut: {why}",
            hint="leave --view-crop out",
        )
    notes: tuple[str, ...] = ()
    if 0 < (wish.views or 0) < epochs and not train.fixed:
        told = f"--views {wish.views} has no effect, every epoch draws anew"
        notes = (f"{told}: the model runs uncut ({why})",)
    line = f"runs uncut: {why}" if say else ""
    return Prefixed(train=train, val=val, feed=feed, line=line, notes=notes)


def _require_windows(setting: Setting, *, again: bool) -> None:
    """Refuse a wish for windows that would change nothing."""
    asked = setting.wish.crop
    if asked is None or asked == 1 or (again and setting.windows is not None):
        return
    if not again:
        raise UsageError(
            f"--view-crop {asked} is for views that come back, and none does",
            hint="keep fewer than there are epochs, e.g. --views 2, or leave --view-crop out",
        )
    shape = "x".join(map(str, setting.made.shape))
    raise UsageError(
        f"--view-crop {asked}: what follows {setting.made.point} takes no part of its {shape}",
        hint="leave --view-crop out: views come back whole",
    )


def _views(train: Loader, setting: Setting, epochs: int) -> int:
    """Views of training images that are worth keeping; 0 = none."""
    mine = sum(len(rows) for rows in train.indices(0))
    every = setting.world.sum([mine])[0] == len(train.images)
    asked = setting.wish.views
    if asked is None:
        head, parts = len(setting.seen) == 1, setting.windows is not None
        asked = auto_views(len(train.images), epochs, head=head, windows=parts, even=train.even)
    views = 1 if train.fixed else asked
    again = views < epochs or setting.wish.mode == "disk"
    return min(views, epochs) if every and again else 0


def _places(setting: Setting, train: Loader, val: Loader, views: int) -> tuple[Where, Where]:
    """Where outputs of training and validation images are kept, the same on every rank."""
    val_where = _where(setting, len(val.images), 1)
    train_where = _where(setting, len(train.images), views, train=True) if views else ""
    return setting.world.share((train_where, val_where))


def _where(setting: Setting, images: int, views: int, *, train: bool = False) -> Where:
    """Where so many rows fit; takes them from the budget: of all places if a size was asked for."""
    wish, world, left = setting.wish, setting.world, setting.budget
    need = images * views * setting.row_bytes(train=train)
    places: list[Where] = [wish.mode]  # type: ignore[list-item]
    if wish.mode == "auto":
        places = ["ram", "disk"]
        easy = setting.lasting and setting.place.device.type != "cuda"
        if easy and need <= easy_budget(setting.root):
            places = ["disk", "ram"]
    if setting.place.device.type == "cuda" and wish.mode in ("auto", "ram"):
        places.insert(0, "device")
    if train and world.size > 1:  # the others have to reach it
        places = ["disk"] if "disk" in places and world.local_size == world.size else []
    for where in places:
        pot = where if wish.size is None else "all"
        if pot not in left:
            left[pot] = _budget(where, setting) if wish.size is None else wish.size
        if need <= left[pot]:
            left[pot] -= need
            return where
    return ""


def _budget(where: Where, setting: Setting) -> int:
    if where == "disk":
        return disk_budget(setting.root)
    if where == "device":
        return memory_budget(setting.place.device) * setting.world.size
    return memory_budget()


def _notes(setting: Setting, views: int, train: Where, val: Where) -> tuple[str, ...]:
    wish, world = setting.wish, setting.world
    if (
        views
        and not train
        and world.size > 1
        and (wish.mode == "ram" or world.local_size < world.size)
    ):
        return (
            "training outputs are not kept: several processes share them through files on one "
            "machine (--cache disk)",
            *_notes(setting, 0, train, val),
        )
    lacking = [
        name for name, lost in (("training", views and not train), ("validation", not val)) if lost
    ]
    if not lacking:
        return ()
    what = " and ".join(lacking)
    return (f"{what} outputs do not fit into the cache (--cache-size, --cache {wish.mode})",)


def _line(
    setting: Setting,
    where: tuple[Where, Where],
    views: int,
    epochs: int,
    loaders: tuple[Loader, Loader],
) -> str:
    """The decision in one line."""
    made = setting.made
    said = {"device": "in device memory", "ram": "in memory", "disk": "on disk", "": "computed"}
    kept = f"train {said[where[0]]} for fresh views"
    if views:
        count = f"{views} view{'s' if views > 1 else ''}"
        size = say_size(len(loaders[0].images) * views * setting.row_bytes(train=True))
        total = size if where[0] else "each time anew"
        again = not loaders[0].fixed and views < epochs
        other = ""
        if again:
            shown = setting.windows.line() if setting.windows else ""
            other = f" for {epochs} epochs{shown}; --views fresh draws anew each epoch"
        kept = f"train {said[where[0]]} ({count}, {total}{other})"
    val = (
        f"val {said[where[1]]} ({say_size(len(loaders[1].images) * setting.row_bytes(train=False))})"
        if where[1]
        else "val computed each time"
    )
    if any(where) and not setting.lasting:
        val += "; not for later runs: of these images only a sample was looked at"
    fold = f", {len(made.folds)} norms folded" if setting.folded else ""
    fold += ", convolutions fused" if setting.fused else ""
    shape, kind = "x".join(map(str, made.shape)), str(setting.stored).removeprefix("torch.")
    return f"cut {made.point}: {shape} {kind}{fold}; {kept}; {val}"
