"""Plugins that are broken in every way, really installed by pip, in a fresh environment.

The environment has this one's packages lent to it (so that torch is not installed again), and
nothing on ``PYTHONPATH``. Each kind is a wheel of its own. pip installs them all; each is looked at
alone and among the others by the commands that people run, switched off, and uninstalled.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from machine import Machine

pytestmark = pytest.mark.slow

MANIFEST = 'schema = 1\n[plugin]\napi = ">=1,<2"\n'
GOOD = MANIFEST + '[[model]]\nname = "odd"\ntarget = "zoo_odd.models:odd"\n'
HOOK = "from zoo.plugin import hookimpl\n\n\n@hookimpl\ndef zoo_models():\n    "


@dataclass(frozen=True)
class Kind:
    """One way to be broken: the files of the package, and what ``zoo plugins`` says."""

    says: str
    files: dict[str, str | bytes] = field(default_factory=dict)
    entry: str = "zoo_odd"
    twice: bool = False


def code(text: str, says: str, **more: object) -> Kind:
    return Kind(says, {"zoo_odd/__init__.py": text}, **more)  # type: ignore[arg-type]


def manifest(text: str | bytes, says: str, **more: object) -> Kind:
    files = {"zoo_odd/__init__.py": "", "zoo_odd/registry.toml": text}
    return Kind(says, files, **more)  # type: ignore[arg-type]


KINDS = {
    "raises at import": code("raise RuntimeError('boom at import')", "RuntimeError: boom"),
    "needs what is not installed": code("import no_such_thing", "no_such_thing"),
    "is for another api": manifest(MANIFEST.replace(">=1,<2", ">=7"), "plugin api >=7"),
    "has a bad manifest": manifest(GOOD + 'heads = "fc"\n', "unknown key 'heads'"),
    "is there twice": manifest(GOOD, "two distributions bring this plugin", twice=True),
    "has a hook that raises": code(HOOK + "return 1 / 0\n", "ZeroDivisionError"),
    "points at nothing": Kind("zoo_nowhere", {"zoo_odd/__init__.py": ""}, entry="zoo_nowhere"),
    "is not UTF-8": manifest(MANIFEST.encode() + b"# Gr\xfc\xdfe\n", "not UTF-8"),
    "has source that is not UTF-8": Kind("SyntaxError", {"zoo_odd/__init__.py": b"x = '\xfc'\n"}),
    "has a folder for a manifest": Kind(
        "registry.toml",
        {"zoo_odd/__init__.py": "", "zoo_odd/registry.toml/keep.txt": "here"},
    ),
    "leaves the interpreter": code("import sys\nsys.exit('out of here')", "SystemExit"),
    "presses Ctrl-C": code("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "prints at import": code("print('hello ' * 3)\nraise ImportError('after all')", "after all"),
}


def install(machine: Machine, kinds: dict[str, Kind]) -> list[str]:
    """Install a wheel a kind, or two; gives the names of their distributions."""
    wheels = {}
    for name, kind in kinds.items():
        for distribution in [f"zoo-{name}", f"zoo-{name}-again"][: 1 + kind.twice]:
            wheels[distribution] = wheel(machine.path / "wheels", distribution, name, kind)
    machine.pip("install", "--no-deps", "--no-index", *map(str, wheels.values()))
    return list(wheels)


def wheel(folder: Path, distribution: str, name: str, kind: Kind) -> Path:
    """Write a wheel by hand: an archive of the files, their list, and who installs them."""
    import base64
    import hashlib
    import zipfile

    folder.mkdir(exist_ok=True)
    stem = f"{distribution.replace('-', '_')}-1.0"
    info = f"{stem}.dist-info"
    package = f"zoo_{name.replace('-', '_')}"
    own = {place.replace("zoo_odd", package): text for place, text in kind.files.items()}
    files = {
        **({} if distribution.endswith("again") else own),
        f"{info}/METADATA": f"Metadata-Version: 2.1\nName: {distribution}\nVersion: 1.0\n",
        f"{info}/WHEEL": "Wheel-Version: 1.0\nGenerator: tests\nRoot-Is-Purelib: true\n"
        "Tag: py3-none-any\n",
        f"{info}/entry_points.txt": f"[zoo]\n{name} = {kind.entry.replace('zoo_odd', package)}\n",
    }
    place = folder / f"{stem}-py3-none-any.whl"
    record = []
    with zipfile.ZipFile(place, "w") as archive:
        for path, content in files.items():
            data = content if isinstance(content, bytes) else content.encode()
            archive.writestr(path, data)
            digest = base64.urlsafe_b64encode(hashlib.sha256(data).digest()).rstrip(b"=").decode()
            record.append(f"{path},sha256={digest},{len(data)}")
        archive.writestr(f"{info}/RECORD", "\n".join([*record, f"{info}/RECORD,,"]) + "\n")
    return place


NAMES = {way.replace(" ", "-").lower(): kind for way, kind in KINDS.items()}


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Machine:
    made = Machine(tmp_path_factory.mktemp("machine"))
    assert not set(NAMES) & set(made.states())
    return made


@pytest.fixture(scope="module")
def all_of_them(machine):
    """Every kind, side by side."""
    names = install(machine, NAMES)
    yield machine
    machine.pip("uninstall", "-y", *names)
    assert not set(NAMES) & set(machine.states())


@pytest.mark.parametrize("name", list(NAMES))
def test_a_broken_plugin_that_pip_installed_breaks_only_itself(name, all_of_them):
    listed = all_of_them.zoo("list", "resnet*", ZOO_PLUGINS=name)
    assert listed.returncode == 0, listed.stderr
    assert "resnet18" in listed.stdout
    lines = [text for text in listed.stderr.splitlines() if f"{name} is out of order" in text]
    assert len(lines) == 1 + NAMES[name].twice
    assert NAMES[name].says in lines[0]
    assert "zoo plugins" in lines[0]
    assert "Traceback" not in listed.stderr
    assert "hello" not in listed.stdout


def test_every_other_command_works_beside_all_of_them(all_of_them):
    version = all_of_them.zoo("--version")
    assert (version.returncode, version.stderr) == (0, "")
    shown = all_of_them.zoo("plugins")
    assert shown.returncode == 0, shown.stderr
    for name, kind in NAMES.items():
        rows = [text.split() for text in shown.stdout.splitlines() if text.startswith(f"{name} ")]
        assert len(rows) == 1 + kind.twice
        assert all("quarantined" in row for row in rows)
        (reason, *_) = [t for t in shown.stdout.splitlines() if t.startswith(f"{name}: ")]
        assert kind.says in reason
    other = all_of_them.zoo("info", "resnet18", "--json")
    assert other.returncode == 0, other.stderr
    assert json.loads(other.stdout)["params"] == 11_689_512


def test_switched_off_they_are_silent(all_of_them):
    for name in NAMES:
        off = all_of_them.zoo("plugins", "disable", name)
        assert (off.returncode, off.stderr) == (0, "")
    states = all_of_them.states()
    assert {states[name] for name in NAMES} == {"disabled"}
    quiet = all_of_them.zoo("list", "resnet18", "--names")
    assert (quiet.returncode, quiet.stderr) == (0, "")


def test_one_whose_import_never_ends_is_switched_off_without_importing_it(machine):
    names = install(machine, {"hangs": code("import time\ntime.sleep(3600)\n", "")})
    try:
        assert machine.zoo("--version", timeout=30).returncode == 0
        with pytest.raises(subprocess.TimeoutExpired):
            machine.zoo("list", timeout=4)
        off = machine.zoo("plugins", "disable", "hangs", timeout=30)
        assert off.returncode == 0, off.stderr
        assert "resnet18" in machine.zoo("list", "--names", timeout=30).stdout
        assert machine.states()["hangs"] == "disabled"
    finally:
        machine.pip("uninstall", "-y", *names)
