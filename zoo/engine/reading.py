"""Which images of a run stay in memory once they are read."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from zoo.data.kept import bytes_of
from zoo.engine.cores import usable_cores
from zoo.engine.prefix.amounts import say_size
from zoo.engine.prefix.budget import free_memory, memory_budget

if TYPE_CHECKING:
    import torch

    from zoo.core.specs import InputSpec
    from zoo.engine.place import Place
    from zoo.engine.prefix.setting import CacheWish


def keep_images(
    train: Any,
    val: Any,
    shown: InputSpec,
    *,
    wish: CacheWish,
    epochs: int,
    place: Place,
    processes: int = 1,
) -> str:
    """Let loaders keep what they read where it is read again: half of what a cache may take.

    Nothing is kept where images are read once (their only view's outputs of the frozen part are
    kept), in loader processes, or with ``--cache off`` and ``disk``. On a CUDA device that has
    the room, images lie in its memory instead, and are cut and resized there.

    Args:
        train: What is trained on: a loader, or outputs of the frozen part of its images.
        val: The same that is evaluated on; it comes first, being the same every epoch.
        shown: What the model is shown, (C, H, W).
        wish: What was asked of the cache.
        epochs: Epochs of the run.
        place: Where the run computes.
        processes: Processes that share the memory.

    Returns:
        What is kept, one line, or empty.
    """
    if epochs > 1 and wish.mode in ("auto", "ram") and place.device.type == "cuda":
        threads = max(1, usable_cores() // processes)
        there = _on_device((val, train), shown, wish, place.device, threads)
        if there:
            return there
    stored = [getattr(source, "kept", 0) for source in (val, train)]
    if epochs < 2 or wish.mode not in ("auto", "ram") or (wish.size is not None and any(stored)):
        return ""
    left = memory_budget() if wish.size is None else min(memory_budget(), wish.size)
    left //= 2 * processes
    said: list[str] = []
    for name, source, known in zip(("val", "train"), (val, train), stored, strict=True):
        loader = source if hasattr(source, "keep") else source.loader
        need = bytes_of(loader.images, shown.size if loader.fixed else None, shown.size[0])
        take = min(left, need if need is not None else left)
        if known == 1 or not take or not loader.keep(take):
            continue
        left -= take
        part = "" if need == take else "up to "
        said.append(f"{name} {part}{say_size(take)}")
    return f"kept in memory once read: {', '.join(said)}" if said else ""


def _on_device(
    sources: tuple[Any, Any],
    shown: InputSpec,
    wish: CacheWish,
    device: torch.device,
    threads: int,
) -> str:
    """Let images lie on the device: at most a quarter of what is free there."""
    left = free_memory(device) // 4
    left = left if wish.size is None else min(left, wish.size)
    said: list[str] = []
    for name, source in zip(("val", "train"), sources, strict=True):
        loader = source if hasattr(source, "keep") else source.loader
        taken = loader.reside(device, left, shown.size, threads=threads)
        left -= taken
        if taken:
            said.append(f"{name} {say_size(taken)}")
    return f"kept in device memory once read: {', '.join(said)}" if said else ""
