"""A trained model for a command: what is downloaded is shown while it comes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from zoo.cli.progress import Live

if TYPE_CHECKING:
    from zoo.engine.start.loaded import Loaded


def find(model: str, runs: str) -> None:
    """Make sure that there is such a model, before torch is imported; the Hub is not asked.

    Args:
        model: What the user named.
        runs: Folder that runs lie in.

    Raises:
        CheckpointError: It is no run, no file and no model of the registry.
    """
    from zoo.core import registry
    from zoo.engine.start.stored import find_trained

    if not model.startswith("hub:"):
        find_trained(model, registry.load(), runs)


def opened(model: str, runs: str, *, show: bool) -> Loaded:
    """Load a trained model.

    Args:
        model: What the user named.
        runs: Folder that runs lie in.
        show: Whether progress is shown; programs that read JSON want none.

    Raises:
        ZooError: It cannot be had.
    """
    find(model, runs)
    from zoo.api import load

    with Live(show=show) as live:
        return load(model, runs=runs, progress=partial(live.bytes, model), note=live.line)
