"""A trained model for a command: what is downloaded is shown while it comes."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from zoo.cli.progress import Live

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from zoo.core.recipe import DataPart
    from zoo.engine.start.loaded import Loaded


def opened(
    model: str,
    runs: str,
    *,
    show: bool,
    images: Sequence[str] = (),
    data: DataPart | None = None,
    parts: Iterable[tuple[str, str]] = (),
    device: str = "auto",
    label: str | None = None,
) -> Loaded:
    """Load a trained model; what is not there of all that was named is said before torch is imported.

    Args:
        model: What the user named.
        runs: Folder that runs lie in.
        show: Whether progress is shown; programs that read JSON want none.
        images: Files and folders that it will be shown.
        data: Labelled images that it will be judged by.
        parts: Kind and name of parts that will be used.
        device: Where it will compute.
        label: A class that it must know; looked up here where a file states the classes.

    Raises:
        ZooError: It cannot be had.
    """
    from zoo.core import registry
    from zoo.data.places import check_paths, check_there
    from zoo.engine.start.stored import find_trained

    if device not in ("auto", "cpu"):
        from zoo.core.devices import check_device

        check_device(device)
    known = registry.load()
    path = None if model.startswith("hub:") else find_trained(model, known, runs)
    if label is not None and path is not None:
        from zoo.core.metadata import read_header
        from zoo.explaining.target import find_class

        info = read_header(path).info
        if info is not None and info.classes:
            find_class(label, info.classes)
    for kind, name in parts:
        known.find(kind, name)
    check_paths(images)
    if data is not None:
        check_there(data, known)
    from zoo.api import load

    with Live(show=show) as live:
        return load(model, runs=runs, progress=partial(live.bytes, model), note=live.line)
