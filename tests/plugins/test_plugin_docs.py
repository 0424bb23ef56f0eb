"""The plugin api's page says what the code says."""

from __future__ import annotations

import inspect
import re
import textwrap
import tomllib
from dataclasses import fields
from pathlib import Path

from zoo.core import registry
from zoo.core.hookspecs import KINDS, RUN_HOOKS, RunHooks
from zoo.core.specs import PartSpec
from zoo.testing.scaffold import MODULES, new_plugin

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = (DOCS / "reference" / "plugin-api.md").read_text("utf-8")


def table(text: str) -> list[list[str]]:
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [
        [cell.strip().strip("`") for cell in line.strip("|").split(" | ")] for line in lines[2:]
    ]


def section(start: str) -> str:
    return PAGE.split(start, 1)[1].split("\n#", 1)[0].split("\n\n```", 1)[0]


def test_every_kind_stands_in_the_table_with_its_hook_and_record():
    rows = [row[:3] for row in table(section("<!-- kinds"))]
    assert rows == [[kind, k.hook, k.spec.__name__] for kind, k in KINDS.items()]


def test_every_run_hook_stands_there_with_its_arguments():
    rows = {row[0]: re.findall(r"\w+", row[1]) for row in table(section("<!-- hooks"))}
    wanted = {
        name: [p for p in inspect.signature(getattr(RunHooks, name)).parameters if p != "self"]
        for name in RUN_HOOKS
    }
    assert rows == wanted


def test_every_field_of_a_part_is_described():
    rows = [row[0] for row in table(section("## Every part"))]
    assert rows[:3] == ["name", "target", "summary"]
    assert set(rows) == {item.name for item in fields(PartSpec)} - {"plugin"}


def test_the_tutorial_names_everything_that_a_new_plugin_may_bring():
    text = (DOCS / "tutorial" / "write-a-plugin.md").read_text("utf-8")
    assert all(f"`{kind}`" in text for kind in MODULES)


def test_the_tutorial_shows_the_files_that_are_really_written(tmp_path):
    text = (DOCS / "tutorial" / "write-a-plugin.md").read_text("utf-8")
    written = new_plugin("mine", ["model", "loss"], tmp_path / "zoo-mine")
    listed = [str(path.relative_to(tmp_path)) for path in written]
    assert "\n".join(listed) in text
    manifest = (tmp_path / "zoo-mine" / "zoo_mine" / "registry.toml").read_text("utf-8")
    shown = re.search(r"```toml\n(schema = 1.*?)```", text, re.DOTALL)
    assert shown
    assert manifest.startswith(shown[1])


def test_what_the_exercises_quote_stands_in_the_files():
    text = (DOCS / "tutorial" / "exercises.md").read_text("utf-8")
    quotes = re.findall(r"<!-- (plugins/\S+) -->\n```\w+\n(.*?)```", text, re.DOTALL)
    assert len(quotes) >= 6
    assert text.count("<!-- plugins/") == len(quotes)
    for place, quote in quotes:
        file = (DOCS.parent / place).read_text("utf-8")
        assert any(textwrap.indent(quote, " " * deep) in file for deep in (0, 4, 8)), place
    fenced = re.findall(r"^```(python|toml)$", text, re.MULTILINE)
    assert len(fenced) == len(quotes)  # nothing is shown that is not quoted


def test_the_tutorials_plugins_stand_beside_one_another(site, tmp_path, monkeypatch):
    """Followed word by word, the page installs two plugins; both load."""
    text = (DOCS / "tutorial" / "write-a-plugin.md").read_text("utf-8")
    tables = [tomllib.loads(block) for block in re.findall(r"```toml\n(.*?)```", text, re.DOTALL)]
    names = [
        (name, target)
        for table in tables
        for name, target in table.get("project", {}).get("entry-points", {}).get("zoo", {}).items()
    ]
    assert len({name for name, _ in names}) == len(names) == 2
    code = next(b for b in re.findall(r"```python\n(.*?)```", text, re.DOTALL) if "ZOO_API" in b)
    new_plugin("mine", ["model", "loss"], tmp_path / "zoo-mine")
    monkeypatch.syspath_prepend(str(tmp_path / "zoo-mine"))
    for name, target in names:
        files = {f"{target}.py": code} if target in text.split("Saved as `")[1] else {}
        site.install(name, files, entry=target, distribution=target.replace("_", "-"))
    registry.load.cache_clear()
    states = {info.name: (info.state, info.error) for info in registry.load().plugins}
    assert {name: states[name] for name, _ in names} == {name: ("ok", "") for name, _ in names}
    assert all(
        part in registry.load().shelf("model") for part in re.findall(r"train (\w+/\w+)", text)
    )
    assert all(
        part in registry.load().shelf("loss") for part in re.findall(r"--loss (\w+/\w+)", text)
    )
