"""The registry files of this repository, parsed once in a process and not for each new registry.

That is most of what a new registry costs, and every test of the command line makes one. A file that
has changed is parsed again; any other file, each time.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from zoo.core import manifest

ROOT = Path(__file__).resolve().parents[2]
_real = manifest.read
_known: dict[object, manifest.Manifest] = {}


def read(path: Path, **how: Any) -> manifest.Manifest:
    """As :func:`zoo.core.manifest.read`, which it stands for once :func:`read_once` was called."""
    if ROOT not in path.parents or not path.is_file():
        return _real(path, **how)
    seen = path.stat()
    key = (path, seen.st_mtime_ns, seen.st_size, seen.st_ino, *how.items())
    if key not in _known:
        _known[key] = _real(path, **how)
    return _known[key]


def read_once() -> None:
    """Do so from now on, in this process and its forks."""
    manifest.read = read
