"""Fixtures around the loopback hub: a clean home, the real CLI in a subprocess, small weights."""

from __future__ import annotations

import importlib
import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import forked
import pytest
from huggingface_hub.errors import HTTPError
from loopback_hub import LoopbackHub

http = importlib.import_module(HTTPError.__module__.partition(".")[0])
"""The HTTP library of the client that is installed: httpx (1.33) or httpx2 (2.4)."""
ROOT = Path(__file__).parents[2]


@dataclass
class Done:
    """A finished command."""

    code: int
    out: str
    err: str
    seconds: float

    @property
    def error(self) -> str:
        return next((s for s in self.err.splitlines() if s.startswith("error: ")), "")

    @property
    def hint(self) -> str:
        return next((s for s in self.err.splitlines() if s.startswith("hint: ")), "")

    def json(self):
        return json.loads(self.out)


@dataclass
class Home:
    """A user's machine: folders and environment; commands run in it as real processes."""

    path: Path
    hub: LoopbackHub
    environment: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        (self.path / "work").mkdir(parents=True, exist_ok=True)

    @property
    def work(self) -> Path:
        return self.path / "work"

    @property
    def cache(self) -> Path:
        return self.path / "hf" / "hub"

    def env(self, extra: Mapping[str, str | None] = {}) -> dict[str, str]:
        kept = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "ZOO_", "HUGGING"))}
        made = {
            **kept,
            "HOME": str(self.path),
            "HF_HOME": str(self.path / "hf"),
            "ZOO_CACHE": str(self.path / "zoo"),
            "ZOO_CONFIG": str(self.path / "config"),
            "TORCH_HOME": str(self.path / "torch"),
            "HF_ENDPOINT": self.hub.endpoint,
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DOWNLOAD_TIMEOUT": "3",
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            **self.environment,
        }
        made.update({k: v for k, v in extra.items() if v is not None})
        return {k: v for k, v in made.items() if extra.get(k, "") is not None}

    def start(self, *argv: str, env: Mapping[str, str | None] = {}) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, *argv],
            cwd=self.work,
            env=self.env(env),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def run(
        self,
        *argv: str,
        env: Mapping[str, str | None] = {},
        timeout: float = 120,
        bare: bool = False,
    ) -> Done:
        """Run Python to its end; ``bare`` if it matters what it has imported."""
        started = time.monotonic()
        run = forked.plain if bare else forked.run
        done = run(list(argv), env=self.env(env), cwd=self.work, timeout=timeout)
        return Done(done.returncode, done.stdout, done.stderr, time.monotonic() - started)

    def zoo(self, *argv: str, env: Mapping[str, str | None] = {}, timeout: float = 120) -> Done:
        """Run the command line itself."""
        return self.run("-m", "zoo", *argv, env=env, timeout=timeout)

    def start_zoo(self, *argv: str, env: Mapping[str, str | None] = {}) -> subprocess.Popen[str]:
        return self.start("-m", "zoo", *argv, env=env)


@pytest.fixture
def hub() -> Iterator[LoopbackHub]:
    with LoopbackHub() as running:
        yield running


@pytest.fixture(scope="session")
def known_shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a machine that has looked at these models before remembers: no torch for a header."""
    from zoo.core import registry
    from zoo.hub.fit import expected_shapes

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("shapes")))
        for classes in (3, 7, 9):
            expected_shapes(registry.load(), "squeezenet1_1", num_classes=classes, options={})
        return Path(os.environ["ZOO_CACHE"]) / "shapes"


@pytest.fixture
def home(hub: LoopbackHub, tmp_path: Path, known_shapes: Path) -> Home:
    made = Home(tmp_path / "home", hub)
    shutil.copytree(known_shapes, made.path / "zoo" / "shapes")
    return made


@pytest.fixture
def here(hub: LoopbackHub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> LoopbackHub:
    """This very process as a user of the loopback hub."""
    from huggingface_hub import constants

    for name in list(os.environ):
        if name.startswith(("HF_", "ZOO_", "HUGGING")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HF_ENDPOINT", hub.endpoint)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "zoo"))
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hf" / "hub"))
    monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "hf" / "token"))
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 2)
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
    monkeypatch.setattr("zoo.hub.stream.backoff", lambda failures: 0.01)
    monkeypatch.chdir(tmp_path)
    return hub
