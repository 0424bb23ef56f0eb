"""How the images of a step are dealt to the processes, also when their number changes.

The global batch is what makes a run: its recipe's batch size times its number of processes. A
resumed run keeps it, whatever the number of processes now, so that every step sees the images
that it would have seen.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

from torch import nn

from zoo.data.cuts import cuts
from zoo.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Container

    from zoo.core.recipe import Recipe
    from zoo.engine.processes.distributed import World
    from zoo.engine.saving.live import Position


@dataclass(frozen=True, slots=True, kw_only=True)
class Deal:
    """What each process gets of a global batch.

    Attributes:
        batch_size: Images per process.
        world: Processes.
        least: Fewest images of a last batch, over all processes.
        pieces: Into how many pieces a process cuts its share, so that it holds no more images at
            a time than the run's own processes do.
    """

    batch_size: int
    world: int = 1
    least: int = 2
    pieces: int = 1

    @property
    def whole(self) -> int:
        """Images of a global batch."""
        return self.batch_size * self.world


def deal(recipe: Recipe, world: int, images: int) -> Deal:
    """Deal the recipe's global batch to so many processes.

    Args:
        recipe: Its ``device.nproc`` is the number of processes that the run began with.
        world: Processes now.
        images: Training images.

    Raises:
        UsageError: The batch, or the last one of an epoch, cannot be shared by so many.
    """
    size, before = recipe.data.batch_size, recipe.device.nproc
    least = 2 * before
    whole = size * before
    if world == before:
        return Deal(batch_size=size, world=world, least=least)
    fitting = [count for count in range(1, whole + 1) if whole % count == 0]
    if whole % world:
        raise UsageError(
            f"the run's batches of {whole} images cannot be shared by {world} processes",
            hint=f"--nproc {_near(fitting, world)}",
        )
    start, stop = cuts(images, size, world=before, least=least)[-1]
    if stop - start < 2 * world:
        raise UsageError(
            f"the last batch of each epoch has {stop - start} images, too few for {world} processes",
            hint=f"--nproc {_near([n for n in fitting if 2 * n <= stop - start], before)}",
        )
    share = whole // world
    return Deal(batch_size=share, world=world, least=least, pieces=math.ceil(share / size))


def keep_batches(at: Position, whole: int, world: int) -> None:
    """Compare the batches that a position counts with those of now, and note those.

    Args:
        at: Where the run is.
        whole: Images of a micro-batch over all processes; 0 = not known.
        world: Processes.

    Raises:
        UsageError: They are others, so that the position means another place.
    """
    known = bool(at.whole and whole)
    if (at.whole != whole) if known else (at.batch and at.world != world):
        before = f"{at.whole} images" if known else f"{at.world} processes"
        raise UsageError(
            f"the run was saved with batches of {before}, now they are of {whole or world}",
            hint=f"resume it with its own recipe, or with --nproc {at.world}",
        )
    at.world, at.whole = world, whole or at.whole


def require_processes(recipe: Recipe, world: World) -> None:
    """Refuse to train alone what is meant for several processes.

    Raises:
        UsageError: The recipe wants processes that nobody started.
    """
    wanted = recipe.device.nproc
    if world.size == 1 < wanted:
        raise UsageError(
            f"the recipe wants {wanted} processes (device.nproc), this is one alone",
            hint=f"zoo {recipe.verb} --nproc {wanted} ..., or torchrun --nproc-per-node {wanted}",
        )


def require_same_images(fingerprint: str, world: World) -> None:
    """Refuse processes that see different data: their shares would not make a whole.

    Args:
        fingerprint: Of the data that this process sees.
        world: The ranks.

    Raises:
        DataError: On every rank; says which ones differ.
    """
    seen = world.gather(fingerprint)
    others = [str(rank) for rank, mark in enumerate(seen) if mark != seen[0]]
    if others:
        world.agree(
            DataError(
                f"process {', '.join(others)} sees other images than process 0",
                hint="give every machine the same data",
            )
        )


def _near(counts: list[int], wanted: int) -> str:
    """Those next to what was wanted, for a hint."""
    below = [count for count in counts if count < wanted][-1:]
    above = [count for count in counts if count > wanted][:1]
    return " or ".join(str(count) for count in [*below, *above]) or "1"


def change(now: Deal, model: nn.Module, recipe: Recipe, held: Container[str] = ()) -> str:
    """What another number of processes than the recipe's means for a run, one line.

    Args:
        now: What each gets from now on.
        model: Says which layers depend on their process's share of a batch.
        recipe: Says which transforms do, and how many processes the run began with.
        held: Dotted paths of norms whose statistics are frozen.
    """
    apart = sorted({kind for path, m in model.named_modules() if (kind := _apart(m, path, held))})
    apart += list(recipe.data.batch_transforms)
    effect = (
        f"{', '.join(apart)} work per process, so the weights will be others"
        if apart
        else "sums are rounded in another order, so weights differ in the last bits"
    )
    return (
        f"begun with {_many(recipe.device.nproc)}, now {_many(now.world)} with {now.batch_size} of "
        f"{now.whole} images each: every step takes the same images; {effect}"
    )


def _many(count: int) -> str:
    return "1 process" if count == 1 else f"{count} processes"


def _apart(module: nn.Module, path: str, held: Container[str]) -> str:
    if isinstance(module, nn.SyncBatchNorm) or path in held:
        return ""
    if isinstance(module, nn.modules.batchnorm._BatchNorm):
        return "batch norms"
    dropping = isinstance(module, nn.modules.dropout._DropoutNd) and module.p > 0
    return "dropout" if dropping else ""
