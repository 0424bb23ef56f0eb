"""``N/K``: which of K folds of the images is held out. Imports no torch: a slip is said at once."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from zoo.core import flags
from zoo.errors import UsageError

if TYPE_CHECKING:
    from zoo.core.compose import Composed

_FOLD = re.compile(r"(0|[1-9]\d{0,5})/(0|[1-9]\d{0,5})\Z", re.ASCII)


def parse_fold(text: str) -> tuple[int, int]:
    """Read ``N/K``: fold N, from 1, of K.

    Raises:
        UsageError: It is not of that form, or there is no such fold.
    """
    match = _FOLD.match(text)
    if match is None:
        raise UsageError(f"--fold {text!r} is not N/K", hint="--fold 2/5: the second of five")
    fold, folds = int(match[1]), int(match[2])
    if folds < 2:
        raise UsageError(f"--fold {text}: there are at least two folds", hint="--fold 1/5")
    if not 1 <= fold <= folds:
        raise UsageError(
            f"--fold {text}: folds are numbered from 1 to {folds}",
            hint=f"--fold {min(max(fold, 1), folds)}/{folds}",
        )
    return fold, folds


def check_fold(composed: Composed) -> None:
    """Check the fold of a recipe, and that nothing else says which images validate.

    Args:
        composed: The recipe; a ``val_fraction`` that nobody typed is the default, or was written
            out by an earlier run.

    Raises:
        UsageError: It is malformed, or ``--val`` or ``--val-fraction`` is given as well.
    """
    data = composed.recipe.data
    if data.fold is None:
        return
    fold, folds = parse_fold(data.fold)
    if data.val is not None:
        raise UsageError(
            f"--fold {data.fold} holds out training images to validate on, and --val names others",
            hint="leave one of them out",
        )
    if composed.origin.get("data.val_fraction") in (flags.ORIGIN, "--set"):
        raise UsageError(
            f"--fold {data.fold} holds out fold {fold} of {folds}, and --val-fraction another share",
            hint="leave one of them out",
        )
