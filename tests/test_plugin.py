import ast
import inspect
from pathlib import Path

import zoo.plugin
from zoo.core.hookspecs import KINDS

ROOT = Path(__file__).resolve().parents[1]


def test_the_door_offers_everything_that_a_part_needs():
    offered = set(zoo.plugin.__all__)
    assert {kind.spec.__name__ for kind in KINDS.values()} <= offered
    assert {"InputSpec", "WeightsSpec", "hookimpl", "API_VERSION"} <= offered
    assert {"Loss", "Metric", "Tracker", "Augmentation", "BatchTransform"} <= offered
    assert "Interrupted" in offered  # a stop that was asked for is no mistake


def test_every_offered_name_is_there_and_sorted():
    assert all(hasattr(zoo.plugin, name) for name in zoo.plugin.__all__)
    assert sorted(zoo.plugin.__all__) == sorted(set(zoo.plugin.__all__))
    public = {n for n, v in vars(zoo.plugin).items() if n[0] != "_" and not inspect.ismodule(v)}
    assert public - {"annotations"} == set(zoo.plugin.__all__)


def test_the_example_in_the_docstring_is_a_plugin(site, fresh):
    text = zoo.plugin.__doc__.partition("::")[2]
    lines = inspect.cleandoc("\n" + text)
    site.code("tiny", lines)
    fresh.cache_clear()
    assert fresh().find("model", "tiny/tiny").head == "fc"


def test_first_party_plugins_and_built_in_parts_use_no_other_door():
    allowed = {"zoo.plugin", "zoo.testing"}
    files = [*(ROOT / "zoo" / "builtin").rglob("*.py"), *(ROOT / "plugins").glob("*/zoo_*/**/*.py")]
    assert len(files) > 10
    for path in files:
        own = "zoo.builtin" if path.is_relative_to(ROOT / "zoo") else path.parent.name
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            names = []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            elif isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            for name in names:
                ours = name == "zoo" or name.startswith("zoo.")
                assert not ours or name in allowed or name.startswith(own), f"{path}: {name}"
