"""Where a run comes from: versions, plugins, the state of the user's repository."""

from __future__ import annotations

import platform
import subprocess
from importlib import metadata
from typing import TYPE_CHECKING, Any

import torch

from zoo import __version__

if TYPE_CHECKING:
    from pathlib import Path

    from zoo.core.registry import Registry


def versions(registry: Registry) -> dict[str, str]:
    """Versions of zoo, what it stands on, and the plugins that loaded."""
    found = {
        "zoo": __version__,
        "python": platform.python_version(),
        "torch": str(torch.__version__),
    }
    for name in ("torchvision", "safetensors"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    for info in registry.plugins:
        if info.state == "ok" and info.form != "builtin":
            found[f"plugin {info.name}"] = info.version
    return found


def git_state(folder: Path) -> dict[str, Any]:
    """Commit and cleanliness of the repository that a folder lies in; empty outside of one."""
    commit = _git(folder, "rev-parse", "HEAD")
    if not commit:
        return {}
    return {"commit": commit, "dirty": bool(_git(folder, "status", "--porcelain", "-uno"))}


def _git(folder: Path, *arguments: str) -> str:
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            ["git", *arguments],  # noqa: S607 - the user's own git
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=5,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""
