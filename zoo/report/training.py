"""What a run's training looked like, read back from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from zoo.core.metadata import WEIGHTS_FILE
from zoo.engine.history import epoch_rows
from zoo.engine.result import read_result

if TYPE_CHECKING:
    from zoo.engine.start.loaded import Loaded


@dataclass(frozen=True, slots=True)
class Epoch:
    """One epoch in numbers; ``None`` for what was not measured or not finite.

    Attributes:
        number: From 1.
        train_loss: Mean over the training images.
        val_loss: Mean over the validation images.
        train_top1: Share of hits while training.
        val_top1: Share of the validation images that were recognised.
    """

    number: int
    train_loss: float | None
    val_loss: float | None
    train_top1: float | None
    val_top1: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Training:
    """A run's training.

    Attributes:
        epochs: In order.
        best: Number of the epoch whose weights were kept.
        proof: The freeze proof's line, or empty.
        digest: The recipe's digest.
    """

    epochs: tuple[Epoch, ...]
    best: int | None
    proof: str
    digest: str


def read_training(loaded: Loaded) -> Training | None:
    """Read the training of a model.

    Args:
        loaded: The model.

    Returns:
        ``None`` if it is not the best of a run whose folder it lies in.
    """
    folder = loaded.path.parent
    if loaded.path.name != WEIGHTS_FILE or not (folder / "recipe.toml").is_file():
        return None
    rows = {row["epoch"]: row for row in epoch_rows(folder)}
    best = [number for number, row in rows.items() if row.get("best") is True]
    result = read_result(folder)
    return Training(
        epochs=tuple(_epoch(number + 1, rows[number]) for number in sorted(rows)),
        best=max(best) + 1 if best else None,
        proof=result.proof if result is not None else "",
        digest=loaded.info.recipe_digest,
    )


def _epoch(number: int, row: dict[str, Any]) -> Epoch:
    train, val = (row.get(key) for key in ("train", "val"))
    return Epoch(number, *(_of(part, key) for key in ("loss", "top1") for part in (train, val)))


def _of(part: Any, key: str) -> float | None:
    value = part.get(key) if isinstance(part, dict) else None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return float(value) if abs(value) < float("inf") else None
