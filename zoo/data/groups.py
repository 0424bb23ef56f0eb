"""Images that belong together (of one patient, video, camera) land on one side of every split.

A group is dealt whole. Large ones come first (by twos: 8 to 15 images count as equally large), in
the order of a number from the seed and their first image's name; each goes where the classes of
its images are furthest from the share that is wanted, as scikit-learn's StratifiedGroupKFold does
in other words. It is a greedy rule: shares are met as well as whole groups allow, not best.
Neither the order of the files nor the machine matters. One more image may move whole groups.

Images without a group are groups of their own. Images with the same bytes belong to one group:
theirs, or the two that share them count as one.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING

from zoo.data.folds import number_of
from zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence

    Unit = list[int]

COLUMN = "group"
"""The column of a table that says so."""


def units_of(groups: Sequence[str], twins: Sequence[object] | None = None) -> list[Unit]:
    """Images that stay together.

    Args:
        groups: Group of each image; empty = none.
        twins: Content of each image.

    Returns:
        Indices, ascending in each unit; every image is in one.
    """
    first: dict[tuple[str, object], int] = {}
    parent = list(range(len(groups)))

    def root(index: int) -> int:
        while parent[index] != index:
            parent[index] = parent[parent[index]]
            index = parent[index]
        return index

    for index, group in enumerate(groups):
        marks: list[tuple[str, object]] = [("group", group)] if group else []
        marks += [("content", twins[index])] if twins is not None else []
        for mark in marks:
            parent[root(index)] = root(first.setdefault(mark, index))
    units: dict[int, Unit] = defaultdict(list)
    for index in range(len(groups)):
        units[root(index)].append(index)
    return list(units.values())


def deal_folds(
    labels: Sequence[int], keys: Sequence[str], units: Sequence[Unit], *, folds: int
) -> list[int]:
    """Say which fold each image is in.

    Args:
        labels: Label of each image.
        keys: Name of each image; unique.
        units: Images that stay together.
        folds: How many there are.

    Returns:
        The fold of each image, from 0.

    Raises:
        DataError: There are fewer groups than folds.
    """
    if len(units) < folds:
        raise DataError(
            f"{folds} folds need as many groups: there are {len(units)} (column {COLUMN})",
            hint=f"--fold 1/{len(units)}" if len(units) > 1 else "--val FOLDER",
        )
    found, table = [0] * len(labels), _Table(labels, [1 / folds] * folds)
    for unit in _ordered(keys, units, "fold"):
        place = table.put(unit, range(folds))
        for index in unit:
            found[index] = place
    return found


def hold_out_groups(
    labels: Sequence[int],
    keys: Sequence[str],
    units: Sequence[Unit],
    *,
    fraction: float,
    seed: int,
) -> list[int]:
    """Choose groups to validate on.

    At least one group is held out, and of each class at least one image is kept to train on.

    Args:
        labels: Label of each image.
        keys: Name of each image; unique.
        units: Images that stay together.
        fraction: Share of each class to hold out, between 0 and 1.
        seed: Other seeds order groups of like size in another way.

    Returns:
        Indices to validate on, ascending.

    Raises:
        DataError: No group can be spared.
    """
    train, val = 0, 1
    table, left = _Table(labels, [1 - fraction, fraction]), Counter(labels)
    held: list[Unit] = []
    ordered = _ordered(keys, units, seed)
    for unit in ordered:
        left.subtract(labels[index] for index in unit)
        last = any(not left[labels[i]] and not table.have[train][labels[i]] for i in unit)
        if table.put(unit, [train] if last else [train, val]) == val:
            held.append(unit)
    if not held:  # the smallest that no class lives from
        have = table.have[train]
        spare = [u for u in ordered if all(have[k] > n for k, n in _counts(labels, u).items())]
        if not spare:
            raise DataError(
                "nothing can be held out for validation: no class has images of two groups "
                f"(column {COLUMN})",
                hint="add images, or --val FOLDER",
            )
        held.append(min(spare, key=len))
    return sorted(index for unit in held for index in unit)


class _Table:
    """How many images of each class lie where, and how far that is from what is wanted."""

    def __init__(self, labels: Sequence[int], shares: Sequence[float]) -> None:
        self.labels, self.shares, self.total = labels, shares, Counter(labels)
        self.have: list[Counter[int]] = [Counter() for _ in shares]

    def put(self, unit: Unit, places: Sequence[int]) -> int:
        """Put a unit where it does most good; gives that place."""
        counts = _counts(self.labels, unit)

        def cost(place: int) -> tuple[float, float, int]:
            """What it adds to the squared distance from the wanted counts, over those."""
            share, have = self.shares[place], self.have[place]
            rise = 0.0
            for label, count in counts.items():
                wanted = share * self.total[label]
                rise += count * (2 * (have[label] - wanted) + count) / wanted
            return rise, have.total() / share, place

        best = min(places, key=cost)
        self.have[best].update(counts)
        return best


def _counts(labels: Sequence[int], unit: Unit) -> dict[int, int]:
    """Images of each class, by label: sums over them come out the same in any order of files."""
    return dict(sorted(Counter(labels[index] for index in unit).items()))


def _ordered(keys: Sequence[str], units: Sequence[Unit], salt: object) -> list[Unit]:
    numbered = [(-len(u).bit_length(), number_of((keys[i] for i in u), salt), u) for u in units]
    return [unit for _, _, unit in sorted(numbered, key=lambda entry: entry[:2])]
