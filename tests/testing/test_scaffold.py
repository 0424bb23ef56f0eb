"""A new plugin's project: complete, formatted, equal to the one in this repository."""

from __future__ import annotations

import ast
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from zoo.core.manifest import read
from zoo.errors import UsageError
from zoo.testing import Settings, check_plugin
from zoo.testing.project import as_installed
from zoo.testing.scaffold import MODULES, new_plugin

ROOT = Path(__file__).resolve().parents[2]


def files(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): path.read_text("utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts and ".pytest_cache" not in path.parts
    }


def test_the_template_in_this_repository_is_what_it_writes(tmp_path):
    new_plugin("template", ["model", "loss", "dataset", "transform"], tmp_path / "new")
    assert files(tmp_path / "new") == files(ROOT / "plugins" / "zoo-template")


def test_a_project_with_everything_is_held_to_the_contract_from_its_folder(tmp_path):
    new_plugin("all-kinds", list(MODULES), tmp_path)
    with as_installed(tmp_path) as names:
        answers = list(check_plugin(*names, Settings(exports=("torch-export",))))
    assert [f"{a.subject}: {a.question}: {a.text}" for a in answers if a.state != "ok"] == []
    kinds = {a.subject.partition(" ")[0] for a in answers}
    assert kinds == {*MODULES, "plugin"} - {"hooks"}


@pytest.mark.parametrize("kind", MODULES)
def test_each_kind_alone_is_a_project(kind, tmp_path):
    written = new_plugin(f"only-{kind}", [kind], tmp_path)
    assert all(path.is_file() for path in written)
    manifest = read(tmp_path / f"zoo_only_{kind}" / "registry.toml")
    assert list(manifest.parts) == ([] if kind == "hooks" else [kind])
    assert manifest.hooks == ("zoo_only_hooks.hooks" if kind == "hooks" else "")
    module = tmp_path / f"zoo_only_{kind}" / f"{MODULES[kind]}.py"
    assert ast.get_docstring(ast.parse(module.read_text("utf-8")))


def test_the_project_file_says_what_it_is(tmp_path):
    new_plugin("zoo-my-nets", ["model"], tmp_path)
    project = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]
    assert project["name"] == "zoo-my-nets"
    assert project["entry-points"]["zoo"] == {"my-nets": "zoo_my_nets"}
    assert "a model" in project["description"]


def test_what_it_writes_passes_the_linter_and_the_formatter(tmp_path):
    new_plugin("neat", list(MODULES), tmp_path)
    for command in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [
                sys.executable,
                "-m",
                "ruff",
                *command,
                "--no-cache",
                "--config",
                str(ROOT / "pyproject.toml"),
                "--config",
                "lint.per-file-ignores={'*'=['TID253']}",
                str(tmp_path),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("name", ["", "My", "a b", "-a", "a--b", "zoo", "3d", "../up"])
def test_impossible_names_are_refused(name, tmp_path):
    with pytest.raises(UsageError, match="name"):
        new_plugin(name, ["model"], tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_an_unknown_kind_is_answered_with_a_close_one(tmp_path):
    with pytest.raises(UsageError) as caught:
        new_plugin("mine", ["modell"], tmp_path)
    assert "did you mean model" in caught.value.hint


def test_nothing_is_written_into_a_folder_in_use(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match="not empty"):
        new_plugin("mine", ["model"], tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


@pytest.mark.parametrize(
    ("brings", "line"),
    [
        (["loss", "model"], "$ zoo list --plugin mine"),
        (["tracker", "hooks"], "$ zoo list --kind tracker --plugin mine"),
        (["hooks"], "$ zoo plugins show mine"),
    ],
)
def test_the_readme_shows_what_there_is(brings, line, tmp_path):
    new_plugin("mine", brings, tmp_path)
    assert line in (tmp_path / "README.md").read_text().splitlines()
