"""A fresh virtual environment in which pip installs for real, without installing torch again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
OURS = "datasets,mlflow,template,tensorboard,timm,tutorials,wandb"
"""Plugins that are in this environment too; a command may ask for them (tutorials only)."""


class Machine:
    """A fresh virtual environment with this one's packages lent to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        venv.create(path / "env", with_pip=False, symlinks=True)
        self.python = path / "env" / "bin" / "python"
        (self.site,) = (path / "env").glob("lib/python*/site-packages")
        lent = [ROOT, ROOT / "plugins/zoo-tutorials", sysconfig.get_paths()["purelib"]]
        (self.site / "lent.pth").write_text("".join(f"{folder}\n" for folder in lent))
        self.config = path / "config"

    def environment(self) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("ZOO_", "PYTHONPATH"))}
        return {
            **kept,
            "ZOO_CONFIG": str(self.config),
            "ZOO_CACHE": str(self.path / "cache"),
            "ZOO_DISABLE_PLUGINS": OURS,
        }

    def pip(self, *argv: str) -> None:
        command = [sys.executable, "-m", "pip", "--python", str(self.python), "-q", *argv]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr

    def zoo(
        self, *argv: str, timeout: float = 60, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(self.python), "-m", "zoo", *argv],
            cwd=self.path,
            env={**self.environment(), **environment},
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )

    def states(self) -> dict[str, str]:
        shown = self.zoo("plugins", "--json", timeout=30)
        assert shown.returncode == 0, shown.stderr
        return {info["name"]: info["state"] for info in json.loads(shown.stdout)}
