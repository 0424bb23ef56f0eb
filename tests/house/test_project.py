"""The project file is the only tool configuration, and says why wherever it makes an exception."""

import ast
import re
import subprocess
import sys
import tomllib

import pytest
from sources import PLUGINS, ROOT, ZOO, name_of, python_files, text

import zoo

TEXT = (ROOT / "pyproject.toml").read_text("utf-8")
PROJECT = tomllib.loads(TEXT)
OTHERS = sorted(PLUGINS.glob("*/pyproject.toml"))


def test_no_other_configuration_files():
    strays = {
        "setup.cfg", "setup.py", "tox.ini", "pytest.ini", "mypy.ini", ".mypy.ini", "ruff.toml",
        ".ruff.toml", ".flake8", ".importlinter", ".coveragerc", "MANIFEST.in",
    }  # fmt: skip
    assert [p.name for p in ROOT.iterdir() if p.name in strays] == []


def test_nothing_but_the_project_is_kept_here():
    """A folder of images and weights that a script had left in the root was once kept with it."""
    if (ROOT / ".git").exists():
        listed = subprocess.run(
            ["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True
        )
        files = [ROOT / name for name in listed.stdout.split("\0") if name]
    else:  # a copy of what is kept, and what tools add to it
        tools = (ROOT / ".gitignore").read_text("utf-8").replace("/", "").splitlines()
        rooms = [path for path in ROOT.iterdir() if not any(map(path.match, tools))]
        files = [f for room in rooms for f in ([room] if room.is_file() else room.rglob("*"))]
    found = {path.relative_to(ROOT).parts[0] for path in files}
    assert found == {
        ".ci", ".gitignore", "LICENSE", "README.md", "docs", "plugins", "pyproject.toml",
        "registry.toml", "tests", "zoo",
    }  # fmt: skip
    large = [path for path in files if path.is_file() and path.stat().st_size > 2 << 20]
    assert [name_of(path) for path in large] == []


def test_warnings_are_errors_and_mypy_is_strict():
    assert PROJECT["tool"]["pytest"]["ini_options"]["filterwarnings"][0] == "error"
    assert PROJECT["tool"]["mypy"]["strict"] is True
    assert "--strict-markers" in PROJECT["tool"]["pytest"]["ini_options"]["addopts"]


def test_every_lint_exception_has_its_reason_on_the_line():
    block = TEXT.partition("\nignore = [")[2].partition("\n]")[0]
    lines = [line for line in block.splitlines() if line.strip()]
    assert len(lines) > 5
    assert [line for line in lines if "#" not in line] == []
    block = TEXT.partition("[tool.ruff.lint.per-file-ignores]")[2].partition("\n[tool")[0]
    entries = re.findall(r'^"[^\n]+?= \[.*?\].*?$', block, re.MULTILINE | re.DOTALL)
    assert len(entries) > 3
    assert [entry for entry in entries if "#" not in entry] == []


def test_every_ignored_warning_has_its_reason():
    block = TEXT.partition("filterwarnings = [")[2].partition("\n]")[0]
    assert [li for li in block.splitlines() if '"ignore' in li and "#" not in li] == []


@pytest.mark.parametrize("path", python_files(), ids=name_of)
def test_every_noqa_names_its_rule_and_reason(path):
    """A002 speaks for itself: the argument's name is the contract's (``input``, ``format``)."""
    bare = []
    for number, line in enumerate(text(path).splitlines(), 1):
        for kind in ("noqa", "type: ignore"):
            if f"# {kind}" not in line:
                continue
            named = re.search(r"# (noqa: [A-Z]+\d+|type: ignore\[[\w-]+)", line)
            reason = re.search(r"# noqa: (A002|[A-Z0-9, ]+ - \w+)", line) or kind != "noqa"
            if not (named and reason):
                bare.append(f"{number}: {line.strip()}")
    assert bare == []


@pytest.mark.parametrize("path", OTHERS, ids=lambda p: p.parent.name)
def test_a_first_party_plugin_fits_this_zoo(path):
    project = tomllib.loads(path.read_text("utf-8"))["project"]
    assert project["version"] == zoo.__version__
    assert project["requires-python"] == PROJECT["project"]["requires-python"]
    assert project["license"] == PROJECT["project"]["license"]
    assert project["name"] == path.parent.name
    (name,) = project["entry-points"]["zoo"]
    assert project["entry-points"]["zoo"][name].partition(".")[0] == path.parent.name.replace(
        "-", "_"
    )
    (own,) = [d for d in project["dependencies"] if d.startswith("zoo-registry")]
    assert own == "zoo-registry>=0.1,<1"
    assert (path.parent / project["readme"]).stat().st_size > 200
    assert list((path.parent / "tests").glob("test_*.py"))


def test_no_extra_names_a_package_that_the_index_does_not_hold():
    """A bare first-party name in an extra would be looked up in public: anybody could take it."""
    extras = PROJECT["project"]["optional-dependencies"]
    ours = {path.parent.name for path in OTHERS}
    names = {re.split(r"[<>=!~\[; ]", d)[0] for listed in extras.values() for d in listed}
    assert not names & ours


def test_the_readme_names_the_python_that_is_needed():
    readme = (ROOT / "README.md").read_text("utf-8")
    least = PROJECT["project"]["requires-python"].removeprefix(">=")
    assert f"Python {least} or newer" in readme
    assert least == PROJECT["tool"]["mypy"]["python_version"]
    assert len(readme.splitlines()) <= 60, "one screen to the first result"


def test_ci_runs_the_commands_that_the_readme_prints():
    readme = (ROOT / "README.md").read_text("utf-8")
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    for name in ("run", "test"):
        block = readme.partition(f"<!-- ci: {name} -->\n```bash\n")[2].partition("\n```")[0]
        assert block.startswith("python3 -m venv .venv && .venv/bin/pip install ")
        assert "\n" not in block
        assert f"$(readme {name})" in script
    assert "-m pytest" in block
    everything = {f"-e plugins/{path.parent.name}" for path in OTHERS}
    assert all(each in block for each in everything)


def test_the_readme_and_contributing_install_the_same():
    contributing = (ROOT / "docs" / "CONTRIBUTING.md").read_text("utf-8")
    readme = (ROOT / "README.md").read_text("utf-8")
    line = re.search(r"pip install (-e '\.\[dev\]'.*?)(?: &&|\n)", readme)[1]
    assert line in contributing


CALLED = {"PIL": "pillow", "yaml": "pyyaml"}
"""Distributions that are not called as what is imported of them."""


def test_what_is_imported_is_named_as_a_dependency():
    """Also what another dependency brings: it may do without one day."""
    of = re.compile(r"[a-z0-9-]+")
    named = {of.match(line)[0].replace("-", "_") for line in PROJECT["project"]["dependencies"]}
    optional = {"pytest", "onnxruntime"}  # for zoo.testing, and for the extra of that name
    taken = set()
    for path in ZOO.rglob("*.py"):
        for node in ast.walk(ast.parse(text(path))):
            modules = [node.module] if isinstance(node, ast.ImportFrom) and node.module else []
            modules += [each.name for each in node.names] if isinstance(node, ast.Import) else []
            taken |= {module.partition(".")[0] for module in modules}
    others = taken - sys.stdlib_module_names - {"zoo"} - optional
    assert {CALLED.get(name, name) for name in others} == named
