"""How much the prefix cache may take: free memory, and the folder that is pruned."""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path

import torch
from filelock import FileLock, Timeout

from zoo.engine.cgroups import spare_memory
from zoo.engine.prefix.store import ABOUT, LOCK

_UNKNOWN = 2 << 30
_MOST_DISK = 50 << 30
_EASY = 4 << 30


def free_memory(device: torch.device | None = None) -> int:
    """Bytes of memory that may be taken: of an accelerator, or of this machine or container."""
    if device is not None and device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    spare = spare_memory()
    free = _available()
    return free if spare is None else min(free, spare)


def _available(meminfo: Path = Path("/proc/meminfo")) -> int:
    """Memory that is free or can be freed; where that is not told (macOS), a quarter of all."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        for line in meminfo.read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return max(_UNKNOWN, os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 4)
    return _UNKNOWN


def memory_budget(device: torch.device | None = None) -> int:
    """Bytes that the cache takes of memory without being asked: a third of what is free."""
    return free_memory(device) // 3


def disk_budget(root: Path) -> int:
    """Bytes that the cache folder may grow to without being asked: half of what is free."""
    folder = next((p for p in (root, *root.parents) if p.exists()), Path("/"))
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return 0
    return min(_MOST_DISK, (free + folder_size(root)) // 2)


def easy_budget(root: Path) -> int:
    """Bytes that may lie on the disk although memory would do: little, and less than is felt."""
    folder = next((p for p in (root, *root.parents) if p.exists()), Path("/"))
    try:
        return min(_EASY, shutil.disk_usage(folder).free // 20)
    except OSError:
        return 0


def folder_size(root: Path) -> int:
    """Bytes of all cache entries."""
    return sum(entry_size(entry) for entry in _entries(root))


def prune(root: Path, *, limit: int, need: int = 0, keep: frozenset[str] = frozenset()) -> int:
    """Delete the entries that were not used for longest until ``need`` more bytes fit.

    Args:
        root: The cache folder.
        limit: Bytes that it may have.
        need: Bytes that will be added.
        keep: Names of entries that stay. Entries that a run has open stay, too.

    Returns:
        Bytes that were freed.
    """
    total, freed = folder_size(root), 0
    for entry in sorted(_entries(root), key=_used):
        if total - freed + need <= limit:
            break
        if entry.name in keep:
            continue
        size = entry_size(entry)
        if _remove(entry):
            freed += size
    return freed


def _remove(entry: Path) -> bool:
    """Delete an entry unless a run has it open.

    It is moved away while it is locked, so that a run which wants it then begins a new one
    instead of losing its files.
    """
    gone = entry.with_name(f".{entry.name.lstrip('.')[:32]}.{os.getpid()}")
    with contextlib.suppress(Timeout, OSError):
        with FileLock(entry / LOCK, timeout=0):
            entry.rename(gone)
        shutil.rmtree(gone, ignore_errors=True)
        return True
    return False


def _entries(root: Path) -> list[Path]:
    try:
        return [path for path in root.iterdir() if path.is_dir()]
    except OSError:
        return []


def entry_size(entry: Path) -> int:
    """Bytes that an entry takes on the disk; 0 if it is not there."""
    total = 0
    with contextlib.suppress(OSError):
        for path in entry.iterdir():
            total += path.stat().st_blocks * 512 if os.name != "nt" else path.stat().st_size
    return total


def _used(entry: Path) -> float:
    try:
        return (entry / ABOUT).stat().st_mtime
    except OSError:
        return 0.0
