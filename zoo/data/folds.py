"""K folds of a set of images: each image is held out by exactly one of them, whatever the seed.

As in :mod:`zoo.data.split` each image gets a number from its name, and each class is looked at by
itself: its images, in the order of their numbers, are cut into K stretches whose lengths differ by
one at most. One more image moves at most one across each cut. Which stretches are the longer ones
differs from class to class, so that small classes do not all end up in the same fold. Images of a
class with the same bytes stay together.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence


def fold_of(
    classes: Sequence[str],
    keys: Sequence[str],
    *,
    folds: int,
    twins: Sequence[object] | None = None,
) -> list[int]:
    """Say which fold each image is in.

    Args:
        classes: Class of each image, by name.
        keys: Name of each image; unique.
        folds: How many there are.
        twins: Content of each image; of a class, those with equal content are in one fold.

    Returns:
        The fold of each image, from 0.
    """
    members: dict[str, dict[object, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, name in enumerate(classes):
        content = twins[index] if twins is not None else index
        members[name][content].append(index)
    found = [0] * len(keys)
    for name, units in members.items():
        ordered = sorted(units.values(), key=lambda unit: number_of(keys[i] for i in unit))
        total = sum(map(len, ordered))
        shift = int.from_bytes(number_of([name])[0], "little") % folds
        start = 0
        for unit in ordered:  # the cut before fold i lies at (i * total + shift) // folds
            middle = start + (len(unit) - 1) // 2
            fold = ((middle + 1) * folds - shift - 1) // total
            for index in unit:
                found[index] = fold
            start += len(unit)
    return found


def number_of(names: Iterable[str], salt: object = "fold") -> tuple[bytes, str]:
    """What images that stay together are ordered by: a number from the first of their names.

    Args:
        names: Their names.
        salt: Other salts give other orders.
    """
    name = min(names)
    text = os.fsencode(f"{salt}\0{name}")
    return hashlib.blake2b(text, digest_size=8).digest(), name
