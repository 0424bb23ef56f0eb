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


RETURNED = 4 << 20
"""Size from which blocks are given back where memory is to be spared."""


def keep_freed() -> bool:
    """Have this process's allocator keep what is freed.

    Returns:
        Whether it does: not where there is no glibc, and not where the environment says how
        (``MALLOC_...``, ``GLIBC_TUNABLES``).
    """
    return _set({_MMAP_THRESHOLD: KEPT, _TRIM_THRESHOLD: KEPT})


def return_freed() -> bool:
    """Have this process's allocator give blocks of :data:`RETURNED` bytes back when they are freed.

    By itself glibc does so from 128 kB on at first, and later from the size of the largest block
    that was freed, up to 32 MB: what is smaller then lies about in parts of the heap.

    Returns:
        Whether it does, as :func:`keep_freed`.
    """
    return _set({_MMAP_THRESHOLD: RETURNED})


def _set(options: dict[int, int]) -> bool:
    said = any(name.startswith("MALLOC_") or name == "GLIBC_TUNABLES" for name in os.environ)
    if sys.platform != "linux" or said:
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    return all(mallopt(option, value) for option, value in options.items())
