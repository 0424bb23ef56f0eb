"""Checking a plugin from its project folder, without installing it."""

from __future__ import annotations

import sys
import tempfile
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from zoo.core import names, registry
from zoo.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def as_installed(project: Path) -> Iterator[tuple[str, ...]]:
    """Let this process see a project's plugins as if it were installed.

    Args:
        project: Folder with a ``pyproject.toml`` that names ``[project.entry-points.zoo]``.

    Yields:
        Names of its plugins.

    Raises:
        UsageError: There is no such project file, or it names no plugin.
    """
    name, version, points = _read(project)
    source = project / "src" if (project / "src").is_dir() else project
    before = list(sys.path)
    with tempfile.TemporaryDirectory() as folder:
        info = Path(folder, f"{names.distribution(name).replace('-', '_')}-{version}.dist-info")
        info.mkdir()
        lines = "\n".join(f"{key} = {target}" for key, target in points.items())
        (info / "entry_points.txt").write_text(f"[zoo]\n{lines}\n", encoding="utf-8")
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n", encoding="utf-8"
        )
        # Before everything else, so that the folder wins over an installed copy of it.
        sys.path[:0] = [str(source.resolve()), folder]
        registry.load.cache_clear()
        try:
            yield tuple(points)
        finally:
            sys.path[:] = before
            registry.load.cache_clear()


def _read(project: Path) -> tuple[str, str, dict[str, str]]:
    path = project / "pyproject.toml"
    try:
        table = tomllib.loads(path.read_text("utf-8")).get("project", {})
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror or error}") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise UsageError(f"{path}: {error}") from error
    points = table.get("entry-points", {}).get("zoo", {})
    if not points:
        hint = '[project.entry-points.zoo]  name = "package"'
        raise UsageError(f"{path} names no zoo plugin", hint=hint)
    return str(table.get("name", "plugin")), str(table.get("version", "0")), points
