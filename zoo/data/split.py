"""Holding images out: stratified, reproducible, and stable when images are added.

Each image gets a number from ``(seed, its name)``; of each class, those with the lowest numbers
are held out. So the split does not depend on the order of the files, on the machine, or on other
classes; one more image moves at most one image across. Images with the same bytes stay together.
"""

from __future__ import annotations

import hashlib
import os
from collections import defaultdict
from typing import TYPE_CHECKING

from zoo.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Sequence


def hold_out(
    labels: Sequence[int],
    keys: Sequence[str],
    *,
    fraction: float,
    seed: int,
    twins: Sequence[object] | None = None,
) -> tuple[list[int], list[int]]:
    """Split into training and validation indices.

    Of each class with two images or more at least one is held out and at least one is kept.

    Args:
        labels: Label of each image.
        keys: Name of each image; unique.
        fraction: Share of each class to hold out, between 0 and 1.
        seed: Other seeds hold out other images.
        twins: Content of each image; those with equal content land on the same side.

    Returns:
        Indices to train on and indices to validate on, both ascending.

    Raises:
        DataError: No class has two images that differ, so nothing can be held out.
    """
    members: dict[int, dict[object, list[int]]] = defaultdict(lambda: defaultdict(list))
    for index, label in enumerate(labels):
        content = twins[index] if twins is not None else index
        members[label][content].append(index)
    held: list[int] = []
    for groups in members.values():
        if len(groups) < 2:
            continue
        ordered = sorted(groups.values(), key=lambda group: _number(seed, keys, group))
        total = sum(map(len, ordered))
        wanted = max(1, round(total * fraction))
        taken = 0
        for group in ordered[: len(ordered) - 1]:
            if taken >= wanted:
                break
            held += group
            taken += len(group)
    if not held:
        raise DataError(
            "nothing can be held out for validation: no class has two different images",
            hint="add images, or --val FOLDER",
        )
    chosen = set(held)
    return [i for i in range(len(labels)) if i not in chosen], sorted(held)


def _number(seed: int, keys: Sequence[str], group: Sequence[int]) -> tuple[bytes, str]:
    name = min(keys[index] for index in group)
    text = os.fsencode(f"{seed}\0{name}")
    return hashlib.blake2b(text, digest_size=8).digest(), name
