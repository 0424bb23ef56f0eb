"""Cores that a process may use: of its affinity and its container, not of the machine."""

from __future__ import annotations

import os

from zoo.engine.cgroups import cpu_quota


def usable_cores() -> int:
    """Cores that this process may use: the affinity mask, cut by the container's quota."""
    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # macOS, Windows
        cores = os.cpu_count() or 1
    quota = cpu_quota()
    return max(1, min(cores, round(quota))) if quota else cores
