"""Which plugins are installed: read entry points without importing anything.

Reading ``*.dist-info/entry_points.txt`` on ``sys.path`` costs about a millisecond and no module;
``importlib.metadata`` costs 27 ms and 58 modules (``ZOO_DISCOVERY=metadata`` uses it anyway, for
import systems that keep their metadata elsewhere).
"""

from __future__ import annotations

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from zoo.core import names, settings

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP: Final = "zoo"
MANIFESTS: Final = ("registry.json", "registry.toml")
_SUFFIXES: Final = (".dist-info", ".egg-info")


@dataclass(frozen=True, slots=True)
class EntryPoint:
    """One line of the ``zoo`` entry point group.

    Attributes:
        name: Plugin name.
        target: ``package`` or ``package.module`` (or ``package:object``).
        distribution: Distribution that installs it, its name as installers compare it.
        version: Its version.
    """

    name: str
    target: str
    distribution: str
    version: str


def find() -> tuple[EntryPoint, ...]:
    """Every entry point of the group ``zoo``, sorted by name.

    A distribution that lies on ``sys.path`` twice counts once, the first one found.
    """
    source = _from_metadata() if settings.discovery() == "metadata" else _from_path()
    found: dict[tuple[str, str], EntryPoint] = {}
    for point in source:
        found.setdefault((point.distribution, point.name), point)
    return tuple(sorted(found.values(), key=lambda point: (point.name, point.distribution)))


def _from_path() -> Iterator[EntryPoint]:
    for folder in dict.fromkeys(sys.path):
        try:
            with os.scandir(folder or ".") as entries:
                infos = [entry.path for entry in entries if entry.name.endswith(_SUFFIXES)]
        except OSError:
            continue
        for info in infos:
            try:
                text = Path(info, "entry_points.txt").read_text("utf-8")
            except (OSError, UnicodeDecodeError):
                continue
            if f"[{GROUP}]" in text:
                yield from _parse(text, os.path.basename(info))  # noqa: PTH119 - hot path


def _parse(text: str, info: str) -> Iterator[EntryPoint]:
    distribution, _, version = info.rpartition(".")[0].partition("-")
    group = ""
    for raw in text.splitlines():
        line = raw.split("#")[0].strip()
        if line.startswith("["):
            group = line.strip("[] ")
        elif group == GROUP and "=" in line:
            name, _, target = (piece.strip() for piece in line.partition("="))
            target = target.partition("[")[0].strip()
            yield EntryPoint(name, target, names.distribution(distribution), version)


def _from_metadata() -> Iterator[EntryPoint]:
    from importlib import metadata

    for point in metadata.entry_points(group=GROUP):
        dist = point.dist
        name = dist.name if dist else ""
        version = dist.version if dist else ""
        yield EntryPoint(point.name, point.value, names.distribution(name), version)


def manifest_of(target: str) -> Path | None:
    """Where the manifest of a plugin's package lies, found without importing the package.

    Args:
        target: The entry point's target; one with ``:`` is code and has no manifest.
    """
    if ":" in target:
        return None
    top, *inner = target.split(".")
    for folder in _package_folders(top):
        for name in MANIFESTS:
            path = Path(folder, *inner, name)
            if path.exists():
                return path
    return None


def _package_folders(name: str) -> tuple[str, ...]:
    for finder in sys.meta_path:
        find_spec = getattr(finder, "find_spec", None)
        if find_spec is None:
            continue
        spec = find_spec(name, None)
        if spec is not None:
            return tuple(spec.submodule_search_locations or ())
    return ()
