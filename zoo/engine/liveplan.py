"""The second plan of a run: what is known once everything is built."""

from __future__ import annotations

from typing import TYPE_CHECKING

from zoo.core.unfreezing import epochs_in_words
from zoo.engine.plan import Plan

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.core.recipe import Recipe
    from zoo.engine.assemble import Assembly
    from zoo.engine.breakeven import BreakEven
    from zoo.engine.parts import Built


def live_plan(
    recipe: Recipe, built: Built, made: Assembly, folder: Path | None, pays: BreakEven | None = None
) -> Plan:
    """What is known once everything is built: surgery, frozen and trained counts, device."""
    frozen = made.frozen.plan
    lines = [("surgery", "\n".join(built.report.changes))]
    lines += [("freeze", frozen.line()), ("adapters", frozen.adapters)]
    for plan in frozen.later:
        lines.append(("", f"after {epochs_in_words(plan.epoch)}: {plan.line()}"))
    peaks = {group.get("initial_lr", group["lr"]) for group in made.live.optimizer.param_groups}
    rates = [f"{rate:.3g}" for rate in sorted(peaks, reverse=True)]
    lines += [
        ("optimizer", f"{recipe.optim.name}, {len(made.live.optimizer.param_groups)} groups, "
                      f"lr {', '.join(rates)}"),
        ("sizes", made.sizes),
        ("frozen part", made.prefix),
        ("images", made.kept),
        ("sharded", made.sharded),
        ("device", made.place.line()),
        ("compiling", pays.line() if pays else ""),
    ]  # fmt: skip
    if folder is not None:
        lines.append(("run", f"{folder}/  (Ctrl-C stops and saves)"))
    notes = (*built.notes, *frozen.warnings, *made.notes)
    facts = {
        "frozen": frozen.frozen_size,
        "trainable": frozen.trainable_size,
        "device": made.place.to_dict(),
    }
    return Plan(tuple((k, v) for k, v in lines if v), notes, facts)
