"""Holding images out as a recipe says: a share of each class, a fold, whole groups; and the words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from zoo.core.folding import parse_fold
from zoo.data.folds import fold_of
from zoo.data.groups import COLUMN, deal_folds, hold_out_groups, units_of
from zoo.data.labels import listed
from zoo.data.split import hold_out
from zoo.errors import DataError, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.core.recipe import DataPart


@dataclass(frozen=True, slots=True)
class Apart:
    """Images to train on and images to validate on.

    Attributes:
        kept: Indices to train on, ascending.
        held: Indices to validate on, ascending.
        fold: Which fold that is, in words; empty = a share.
        notes: Facts worth a line.
    """

    kept: list[int]
    held: list[int]
    fold: str = ""
    notes: tuple[str, ...] = ()


def set_apart(
    data: DataPart,
    classes: Sequence[str],
    labels: Sequence[int],
    keys: Sequence[str],
    *,
    seed: int,
    twins: Sequence[object] | None = None,
    groups: Sequence[str] = (),
) -> Apart:
    """Split images that come without validation images.

    Args:
        data: Says which share, or which fold.
        classes: Class names.
        labels: Label of each image.
        keys: Name of each image; unique.
        seed: Seed of the split; folds do not depend on it.
        twins: Content of each image; those with equal content land on the same side.
        groups: Group of each image, which is not torn apart; empty = none has one.

    Raises:
        DataError: There are too few images, or groups, to hold any out.
        UsageError: The fold is malformed.
    """
    units = units_of(groups, twins) if any(groups) else []
    fold = ""
    if data.fold is not None:
        wanted, folds = parse_fold(data.fold)
        fold = f"fold {wanted} of {folds}"
        if units:
            places = deal_folds(labels, keys, units, folds=folds)
        else:
            names = [classes[label] for label in labels]
            places = fold_of(names, keys, folds=folds, twins=twins)
        held = [index for index, place in enumerate(places) if place == wanted - 1]
    elif units:
        held = hold_out_groups(labels, keys, units, fraction=data.val_fraction, seed=seed)
    else:
        kept, held = hold_out(labels, keys, fraction=data.val_fraction, seed=seed, twins=twins)
        return Apart(kept, held)
    out = set(held)
    kept = [index for index in range(len(labels)) if index not in out]
    if not kept or not held:
        raise DataError(
            f"{fold} would hold out {len(held)} of {len(labels)} images",
            hint="add images, or take fewer folds: --fold 1/2",
        )
    notes = _of_groups(groups, held, units) if units else ()
    missing = {labels[index] for index in held} - {labels[index] for index in kept}
    if missing:
        names = [classes[label] for label in sorted(missing)]
        notes = (*notes, f"classes without training images: {listed(names, 5)}")
    return Apart(kept, held, fold, notes)


def _of_groups(
    groups: Sequence[str], held: Sequence[int], units: Sequence[Sequence[int]]
) -> tuple[str, ...]:
    """What is worth a line about groups."""
    every, out = set(groups) - {""}, {groups[index] for index in held} - {""}
    notes = [f"groups are kept together (column {COLUMN}): {len(out)} of {len(every)} are held out"]
    if alone := sum(not group for group in groups):
        notes.append(f"images without a group, each for itself: {alone}")
    sharing = [sorted({groups[index] for index in unit} - {""}) for unit in units]
    if joined := sorted(" + ".join(names) for names in sharing if len(names) > 1):
        notes.append(f"groups that share images, byte for byte, count as one: {listed(joined, 5)}")
    return tuple(notes)


def refuse_fold(data: DataPart, where: str, hint: str) -> None:
    """Refuse a fold of data that has validation images of its own.

    Args:
        data: The recipe's data part.
        where: What has them.
        hint: How the fold, or those images, can be left out.

    Raises:
        UsageError: A fold was asked for.
    """
    if data.fold is not None:
        raise UsageError(
            f"--fold {data.fold} holds out training images to validate on, and {where}", hint=hint
        )
