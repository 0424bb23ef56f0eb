"""A stranger's plugin of one file: built, installed, listed, trained with, uninstalled."""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import textwrap
import zipfile
from pathlib import Path

import forked
import pytest
from machine import Machine

ROOT = Path(__file__).resolve().parents[2]
PROJECT = """
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"

[project]
name = "spotty-things"
version = "0.3.0"
requires-python = ">=3.11"

[project.entry-points.zoo]
spotty = "spotty"

[tool.hatch.build.targets.wheel]
only-include = ["spotty.py"]
"""
MODULE = '''
"""A model of one convolution."""

from zoo.plugin import InputSpec, ModelSpec, hookimpl

ZOO_API = ">=1,<2"


@hookimpl
def zoo_models():
    yield ModelSpec(
        name="spot",
        target="spotty:build",
        summary="One convolution",
        head="head",
        stages=(("stem", ("stem",)),),
        input=InputSpec(size=(1, 8, 8)),
        classes=10,
        params=490,
    )


@hookimpl
def zoo_run_started(run):
    (run.dir / "spotty.txt").write_text("was here")


def build(num_classes=10):
    from torch import nn

    class Spot(nn.Module):
        def __init__(self):
            super().__init__()
            self.stem = nn.Conv2d(1, 24, 3, stride=2, padding=1)
            self.head = nn.Linear(24, num_classes)

        def forward(self, x):
            return self.head(self.stem(x).relu().amax((2, 3)))

    return Spot()
'''


def pip(*args, cwd):
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--no-input", *args]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def uninstall(site):
    """What ``pip uninstall`` does; it refuses to do it in a ``--target`` folder."""
    (record,) = site.glob("spotty_things-*.dist-info/RECORD")
    with record.open(newline="") as lines:
        files = [site / row[0] for row in csv.reader(lines)]
    for file in files:
        file.unlink(missing_ok=True)
    record.parent.rmdir()


@pytest.mark.slow
def test_the_life_of_a_plugin_of_one_file(tmp_path):
    project, site = tmp_path / "project", tmp_path / "site"
    project.mkdir()
    (project / "pyproject.toml").write_text(PROJECT)
    (project / "spotty.py").write_text(MODULE)
    quiet = ("--no-index", "--no-deps")
    pip("wheel", ".", *quiet, "--no-build-isolation", "-w", "dist", cwd=project)
    (wheel,) = (project / "dist").glob("*.whl")
    pip("install", *quiet, "--target", str(site), str(wheel), cwd=project)

    def zoo(*args):
        env = {**os.environ, "PYTHONPATH": str(site), "ZOO_PLUGINS": "spotty"}
        return forked.run(["-m", "zoo", *args], cwd=tmp_path, env=env)

    assert "spotty/spot" in zoo("list", "--names").stdout.split()
    (info,) = [p for p in json.loads(zoo("plugins", "--json").stdout) if p["name"] == "spotty"]
    kept = {key: info[key] for key in ("distribution", "version", "form", "state", "hooks")}
    assert kept == {
        "distribution": "spotty-things",
        "version": "0.3.0",
        "form": "code",
        "state": "ok",
        "hooks": ["zoo_run_started"],
    }

    flags = ("--set", "optim.warmup=0", "--set", "data.workers=0", "--name", "first")
    trained = zoo("train", "spot", "--data", "digits", "--epochs", "1", *flags)
    assert trained.returncode == 0, trained.stderr
    assert (tmp_path / "runs" / "first" / "spotty.txt").read_text() == "was here"
    measured = zoo("eval", "first", "--json")
    assert measured.returncode == 0, measured.stderr
    assert json.loads(measured.stdout)["n"] == 397
    checked = zoo("plugins", "check", "spotty")
    assert checked.returncode == 0, checked.stdout + checked.stderr

    uninstall(site)
    assert "spotty" not in zoo("list", "--names").stdout
    gone = zoo("eval", "first")
    assert gone.returncode in (2, 4)
    assert "spotty" in gone.stderr
    assert "Traceback" not in gone.stderr


@pytest.mark.slow
def test_a_plugin_written_from_the_docs_alone(tmp_path):
    """The tutorial's one file and its project, typed off; pip builds, installs and uninstalls."""
    text = (ROOT / "docs" / "tutorial" / "write-a-plugin.md").read_text("utf-8")
    part = text.split("## In code, in one file", 1)[1].split("\n## ", 1)[0]
    (module,) = re.findall(r"```python\n(.*?)```", part, re.DOTALL)
    (project,) = re.findall(r"```toml\n(.*?)```", part, re.DOTALL)
    machine = Machine(tmp_path)
    folder = tmp_path / "my-loss"
    folder.mkdir()
    (folder / "my_loss.py").write_text(module)
    (folder / "pyproject.toml").write_text(project)
    machine.pip(
        "wheel", str(folder), "--no-deps", "--no-index", "--no-build-isolation", "-w",
        str(tmp_path / "dist"),
    )  # fmt: skip
    (wheel,) = (tmp_path / "dist").glob("my_loss-0.1.0-*.whl")
    machine.pip("install", "--no-deps", "--no-index", str(wheel))

    listed = machine.zoo("list", "--kind", "loss", "--names")
    assert "squared/plain" in listed.stdout.split(), listed.stderr
    assert machine.states()["squared"] == "ok"
    trained = machine.zoo(
        "train", "tutorials/lenet", "--data", "digits", "--loss", "squared/plain", "--epochs", "1",
        "--threads", "1", "--name", "first", ZOO_DISABLE_PLUGINS="datasets,mlflow,template,tensorboard,timm,wandb",
    )  # fmt: skip
    assert trained.returncode == 0, trained.stderr
    assert 'name = "squared/plain"' in (tmp_path / "runs/first/recipe.toml").read_text("utf-8")
    machine.pip("uninstall", "-y", "my-loss")
    assert "squared" not in machine.states()
    gone = machine.zoo("info", "squared/plain")
    assert gone.returncode == 2
    assert "Traceback" not in gone.stderr


@pytest.mark.slow
def test_a_new_project_installs_lists_and_tests_green_at_once(tmp_path):
    machine = Machine(tmp_path)
    written = machine.zoo("plugins", "new", "leafy", "--with", "model,loss")
    assert written.returncode == 0, written.stderr
    project = tmp_path / "zoo-leafy"
    machine.pip("install", "--no-deps", "--no-index", "--no-build-isolation", str(project))
    assert "leafy/tiny" in machine.zoo("list", "--names").stdout.split()
    done = subprocess.run(
        [str(machine.python), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests"],
        cwd=project,
        env=machine.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert " passed" in done.stdout


@pytest.mark.parametrize("folder", sorted(p.name for p in (ROOT / "plugins").iterdir()))
def test_the_wheel_of_each_plugin_here_holds_what_it_needs(folder, tmp_path):
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
    done = subprocess.run(
        command, cwd=ROOT / "plugins" / folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        points = next(n for n in names if n.endswith("entry_points.txt"))
        text = archive.read(points).decode()
    package = folder.replace("-", "_")
    assert f"= {package}" in text
    assert {f"{package}.py", f"{package}/__init__.py"} & set(names)
    source = ROOT / "plugins" / folder / package
    for manifest in ("registry.toml", "registry.json"):
        assert (f"{package}/{manifest}" in names) == (source / manifest).exists()
    assert not any(name.startswith("tests/") for name in names)


def test_every_plugin_here_says_where_it_stands():
    for folder in (ROOT / "plugins").iterdir():
        text = (folder / "README.md").read_text("utf-8")
        assert text.startswith(f"# {folder.name}"), folder
        assert textwrap.dedent(text) == text
        assert os.access(folder / "pyproject.toml", os.R_OK)
