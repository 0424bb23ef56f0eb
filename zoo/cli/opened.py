"""A trained model for a command: what is downloaded is shown while it comes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from zoo.cli.progress import Live

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.engine.start.loaded import Loaded


def opened(model: str, runs: str, *, show: bool, images: Sequence[str] = ()) -> Loaded:
    """Load a trained model; that there is none, or no image, is said before torch is imported.

    Args:
        model: What the user named.
        runs: Folder that runs lie in.
        show: Whether progress is shown; programs that read JSON want none.
        images: Files and folders that it will be shown.

    Raises:
        ZooError: It cannot be had.
    """
    from zoo.core import registry
    from zoo.data.places import check_paths
    from zoo.engine.start.stored import find_trained

    if not model.startswith("hub:"):
        find_trained(model, registry.load(), runs)
    check_paths(images)
    from zoo.api import load

    with Live(show=show) as live:
        return load(model, runs=runs, progress=partial(live.bytes, model), note=live.line)
