"""Rooms import in one direction: the contracts of pyproject.toml hold, and they bite."""

import ast
import shutil
import subprocess
import sys
import tomllib
from graphlib import CycleError, TopologicalSorter

import pytest
from sources import ROOT, ZOO

CONTRACTS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"][
    "contracts"
]


def lint(folder):
    """Run the linter in ``folder``, whose copy of zoo is the one that is read."""
    done = subprocess.run(
        [sys.executable, "-c", "import sys; sys.path.insert(0, '.'); "
         "from importlinter.cli import lint_imports_command; lint_imports_command()", "--no-cache"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def test_every_contract_is_kept():
    code, said = lint(ROOT)
    assert code == 0, said[-3000:]
    assert f"{len(CONTRACTS)} kept, 0 broken" in said


def test_every_room_stands_in_the_layers():
    named = {name for line in CONTRACTS[0]["layers"] for name in line.split(" | ")}
    there = {
        f"zoo.{p.stem}" for p in ZOO.iterdir() if p.suffix == ".py" or (p / "__init__.py").is_file()
    }
    assert there - named == {"zoo.__init__", "zoo.__main__"}
    assert named <= there


VIOLATIONS = {
    "one direction": ("core/names.py", "def late():\n    from zoo.engine import place\n"),
    "nobody imports the built-in parts": ("hub/late.py", "def f():\n    import zoo.builtin.demo\n"),
    "built-in parts see what": ("builtin/late.py", "from zoo.core import registry\n"),
    "the core never needs torch": ("core/late.py", "def f():\n    import torch\n"),
    "only the command line knows click": ("engine/late.py", "def f():\n    import click\n"),
}


@pytest.fixture(scope="module")
def spoilt(tmp_path_factory):
    """What the linter says about a copy of zoo with one violation of each contract."""
    folder = tmp_path_factory.mktemp("spoilt")
    shutil.copytree(ZOO, folder / "zoo", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for file, text in VIOLATIONS.values():
        path = folder / "zoo" / file
        before = path.read_text() if path.is_file() else ""
        path.write_text(f"{before}\n{text}")
    return lint(folder)


@pytest.mark.parametrize("name", VIOLATIONS)
def test_a_violation_is_noticed_inside_functions_too(spoilt, name):
    code, said = spoilt
    assert code == 1
    (contract,) = [c["name"] for c in CONTRACTS if c["name"].startswith(name)]
    assert f"{contract} BROKEN" in said


def test_every_contract_has_its_violation_above():
    assert len(VIOLATIONS) == len(CONTRACTS)


def imports(path, known):
    """Modules of zoo that a file takes something from, anywhere in it, be it for its types alone."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name in known)
        elif isinstance(node, ast.ImportFrom) and node.module in known:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                yield inner if inner in known else node.module


def circle(modules):
    """Modules that import each other in a circle, if there are any; ``modules``: name -> file."""
    graph = {name: set(imports(path, modules)) - {name} for name, path in modules.items()}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def test_no_files_import_each_other_in_a_circle():
    files = [path for path in ZOO.rglob("*.py") if path != ZOO / "__init__.py"]
    names = [".".join(p.relative_to(ZOO.parent).with_suffix("").parts) for p in files]
    assert not circle({n.removesuffix(".__init__"): p for n, p in zip(names, files, strict=True)})


def test_a_circle_is_noticed_inside_functions_too(tmp_path):
    (tmp_path / "a.py").write_text("def f():\n    from zoo.b import g\n")
    (tmp_path / "b.py").write_text("import zoo.c\n")
    (tmp_path / "c.py").write_text("from zoo import a\n")
    files = {f"zoo.{name}": tmp_path / f"{name}.py" for name in "abc"}
    assert not circle(files)  # what "from zoo import a" means is known by the package
    assert set(circle(files | {"zoo": tmp_path / "c.py"})) == set(files)
