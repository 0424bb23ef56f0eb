"""Memory that was freed: kept, so that the next step does not pay for its pages again, or given back.

glibc takes blocks of more than some megabytes from the system and gives each back when it is
freed. A training step frees and asks for the same blocks over and over, and each time the system
clears every page of them: a tenth to a fifth of a step of resnet18 at 224 pixels.
"""

from __future__ import annotations

import ctypes
import os
import sys

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3
"""``M_TRIM_THRESHOLD`` and ``M_MMAP_THRESHOLD`` of ``malloc.h``."""
KEPT = 1 << 30
"""Bytes that may lie at the heap's end unused; also the size from which blocks are given back."""


def keep_freed() -> bool:
    """Have this process's allocator keep what is freed.

    Returns:
        Whether it does: not where there is no glibc, and not where the environment says how
        (``MALLOC_...``, ``GLIBC_TUNABLES``).
    """
    said = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if sys.platform != "linux" or said:
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return bool(mallopt(_MMAP_THRESHOLD, KEPT)) and bool(mallopt(_TRIM_THRESHOLD, KEPT))


def give_back() -> bool:
    """Give the system every page that is free now, for runs that spare memory.

    What is freed between blocks that stay is kept by glibc otherwise: some 100 MB after an epoch.

    Returns:
        Whether there was anything to give: not where there is no glibc.
    """
    if sys.platform != "linux":
        return False
    try:
        return bool(ctypes.CDLL(None).malloc_trim(0))
    except (OSError, AttributeError):
        return False
