"""``EPOCHS:TARGET``: what joins the training later, and when."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from zoo.errors import FreezeError

if TYPE_CHECKING:
    from zoo.core.recipe import Recipe

_AT = re.compile(r"(\d{1,9}):(.+)\Z")


def parse_unfreeze_at(text: str) -> tuple[int, str]:
    """Read ``EPOCHS:TARGET``: the target trains once that many epochs are done.

    Raises:
        FreezeError: It is not of that form, or the epoch is 0.
    """
    match = _AT.match(text)
    if match is None:
        raise FreezeError(f"{text!r} is not EPOCHS:TARGET", hint="--unfreeze-at 3:layer3")
    if int(match[1]) == 0:
        raise FreezeError(f"{text!r} would train it from the start", hint=f"--unfreeze {match[2]}")
    return int(match[1]), match[2]


def check_unfreezing(recipe: Recipe) -> None:
    """Check that whatever joins later joins before the run ends.

    Raises:
        FreezeError: It would never train.
    """
    epochs = recipe.optim.epochs
    for text in recipe.freeze.unfreeze_at:
        epoch, target = parse_unfreeze_at(text)
        if epoch >= epochs:
            raise FreezeError(
                f"--unfreeze-at {text}: the run ends after {epochs_in_words(epochs)}, before "
                f"{target} would train",
                hint=f"--epochs {epoch + 1} or more",
            )


def epochs_in_words(count: int) -> str:
    """A number of epochs in words."""
    return "1 epoch" if count == 1 else f"{count} epochs"
