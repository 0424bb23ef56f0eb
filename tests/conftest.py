"""What all tests share: a clean environment, and a folder to install make-believe plugins in."""

import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

if os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1") != "1":
    # One thread for each of several workers and what they start: threads that outnumber the
    # cores wait for each other, and a suite takes several times as long. Set before torch comes.
    os.environ["OMP_NUM_THREADS"] = "1"

if (
    signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    and threading.current_thread() is threading.main_thread()
):
    # Started in the background of a script: a shell has such jobs ignore Ctrl-C, which every
    # process that a test starts and interrupts would inherit.
    signal.signal(signal.SIGINT, signal.default_int_handler)

import pytest
from hypothesis import settings as hypothesis_settings
from loopback_fixtures import home, hub, known_shapes  # noqa: F401

ROOT = Path(__file__).resolve().parent.parent

hypothesis_settings.register_profile("zoo", deadline=None, derandomize=True, max_examples=60)
hypothesis_settings.load_profile("zoo")

# What is compiled is kept, as a user's Python does: hundreds of processes would compile zoo anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config):
    """``-n auto``: as many as cores (one more was slower); a worker is large, so four at most."""
    return min(4, len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2)


def pytest_configure(config):
    """Workers take files in the order of :func:`pytest_collection_modifyitems`."""
    if hasattr(config.option, "loadscopereorder"):
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    """Files with slow tests first, so that no worker is left with one at the end."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session", autouse=True)
def own_folders(tmp_path_factory):
    """No test sees the user's settings or cache, and no test writes to them."""
    patch = pytest.MonkeyPatch()
    for name in [n for n in os.environ if n.startswith(("ZOO_", "_ZOO_", "HF_"))]:
        patch.delenv(name)
    patch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))
    patch.setenv("ZOO_CONFIG", str(tmp_path_factory.mktemp("config")))
    yield
    patch.undo()


@pytest.fixture(scope="session", autouse=True)
def catalogues_read_once():
    """What most of a new registry costs is paid once: tests/helpers/catalogues.py."""
    from catalogues import read_once

    read_once()


@pytest.fixture
def fresh():
    """A registry that is read anew in this test, and again after it."""
    from zoo.core import registry

    registry.load.cache_clear()
    yield registry.load
    registry.load.cache_clear()


class Site:
    """A folder on ``sys.path`` with distributions as an installer would leave them."""

    def __init__(self, path, patch):
        self.path = path
        self._patch = patch
        self._names = []

    def install(self, name, files=None, *, entry=None, version="1.0", distribution=None):
        """Install a plugin; ``files`` are relative to the site, ``entry`` is what it points at."""
        distribution = distribution or f"zoo-{name}"
        package = distribution.replace("-", "_")
        for file, text in (files or {}).items():
            target = self.path / file
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(textwrap.dedent(text), "utf-8")
        info = self.path / f"{package}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(
            f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n", "utf-8"
        )
        points = f"[zoo]\n{name} = {package if entry is None else entry}\n"
        (info / "entry_points.txt").write_text(points, "utf-8")
        self._names.append(name)
        self._patch.setenv("ZOO_PLUGINS", ",".join(self._names))
        return info

    def manifest(self, name, text, **others):
        """Install a plugin that is data only: an empty package and its registry.toml."""
        package = f"zoo_{name}"
        text = "schema = 1\n" + textwrap.dedent(text)
        files = {f"{package}/__init__.py": "", f"{package}/registry.toml": text}
        return self.install(name, {**files, **others})

    def code(self, name, text):
        """Install a plugin of one file."""
        return self.install(name, {f"zoo_{name}.py": text})


@pytest.fixture
def site(tmp_path, monkeypatch, fresh):
    """A place to install plugins; only these are allowed to load."""
    folder = tmp_path / "site"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", str(folder))
    monkeypatch.setenv("ZOO_PLUGINS", "")
    yield Site(folder, monkeypatch)
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None) or ""
        if file.startswith(str(folder)):
            del sys.modules[name]


@pytest.fixture
def zoo(capsys, fresh):
    """Run the command line in this process: ``code, stdout, stderr = zoo("list", ...)``."""
    from zoo.cli.main import run

    def call(*args):
        capsys.readouterr()
        code = run([str(arg) for arg in args])
        out, err = capsys.readouterr()
        return code, out, err

    del fresh
    return call


@pytest.fixture
def command_line(zoo):
    """The fixture ``zoo`` under a name that leaves the package its own."""
    return zoo


@pytest.fixture
def shell():
    """Run the command line in a process of its own: gives a CompletedProcess with text."""

    def call(*args, cwd=None, **env):
        return subprocess.run(
            [sys.executable, "-m", "zoo", *map(str, args)],
            check=False,
            cwd=cwd or ROOT,
            env={**os.environ, **env},
            capture_output=True,
            text=True,
            timeout=120,
        )

    return call


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    """A folder of images: dark ones and light ones, twelve of each."""
    from PIL import Image

    folder = tmp_path_factory.mktemp("images") / "photos"
    for name, base in (("dark", 10), ("light", 190)):
        (folder / name).mkdir(parents=True)
        for number in range(12):
            Image.new("L", (36, 36), base + 5 * number).save(folder / name / f"{number}.png")
    return folder


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, photos):
    """The folder of a finished run on :func:`photos`, made once; tests only read it."""
    import zoo

    result = zoo.train(
        "tutorials/lenet",
        data=photos,
        epochs=3,
        optimizer="sgd",
        lr=0.1,
        batch_size=6,
        workers=0,
        threads=1,
        device="cpu",
        precision="fp32",
        out=tmp_path_factory.mktemp("finished"),
        name="light",
    )
    return result.dir
