import json
import sys

import pytest

from zoo.core import registry, settings

MANIFEST = "[plugin]\napi = '>=1,<2'\n[[model]]\nname = 'tiny'\ntarget = 'zoo_leaf:x'\n"
CODE = """
from zoo.plugin import LossSpec, hookimpl

@hookimpl
def zoo_losses():
    yield LossSpec(name="one", target="zoo_oak:x")
    yield LossSpec(name="two", target="zoo_oak:x")

@hookimpl
def zoo_run_started(run):
    pass
"""


@pytest.fixture
def plugged(site, zoo, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))
    site.manifest("leaf", MANIFEST, **{"zoo_leaf/__init__.py": "raise RuntimeError('imported')"})
    site.code("oak", CODE)
    site.code("bad", "1 / 0")
    registry.load.cache_clear()
    monkeypatch.setattr(site, "manifest", None)

    def call(*args):
        registry.load.cache_clear()
        return zoo(*args)

    return call


def test_every_plugin_is_shown_with_its_state(plugged):
    code, out, err = plugged("plugins")
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines()}
    assert "1 model" in rows["leaf"]
    assert rows["leaf"].endswith("ok")
    assert "manifest" in rows["leaf"]
    assert "2 losses, hook zoo_run_started" in rows["oak"]
    assert "code" in rows["oak"]
    assert rows["bad"].endswith("quarantined")
    assert "bad: ZeroDivisionError: division by zero" in out
    assert "zoo" in rows
    assert "plugin api: 1" in err


def test_the_run_hooks_of_a_manifest_are_shown_and_not_imported(plugged, site):
    site.install(
        "elm",
        {
            "zoo_elm/__init__.py": "",
            "zoo_elm/registry.toml": "schema = 1\n[plugin]\nhooks = 'zoo_elm.hooks'\n",
            "zoo_elm/hooks.py": "raise RuntimeError('imported')",
        },
    )
    assert "run hooks in zoo_elm.hooks" in plugged("plugins")[1]
    assert "zoo_elm.hooks" in plugged("plugins", "show", "elm")[1]
    assert "zoo_elm.hooks" not in sys.modules


def test_json(plugged):
    found = {info["name"]: info for info in json.loads(plugged("plugins", "--json")[1])}
    assert found["bad"]["state"] == "quarantined"
    assert found["leaf"]["parts"] == {"model": 1}
    assert found["oak"]["hooks"] == ["zoo_run_started"]


def test_show_one(plugged):
    code, out, _ = plugged("plugins", "show", "leaf")
    assert code == 0
    assert "zoo-leaf 1.0" in out
    assert "leaf/tiny" in out
    found = json.loads(plugged("plugins", "show", "leaf", "--json")[1])
    assert found["names"] == {"model": ["leaf/tiny"]}
    assert found["state"] == "ok"
    assert "and " in plugged("plugins", "show", "zoo")[1]


def test_show_imports_nothing(plugged, site):
    site.code("grim", "raise SystemExit('imported')")
    for name in ("oak", "bad", "grim"):
        code, out, err = plugged("plugins", "show", name)
        assert code == 0
        assert "code" in out
        assert "unloaded" in out
        assert "zoo plugins imports it" in err
    assert not {"zoo_leaf", "zoo_oak", "zoo_bad", "zoo_grim"} & set(sys.modules)


def test_show_says_why_data_is_refused(plugged, site):
    (site.path / "zoo_leaf" / "registry.toml").write_text("schema = 7\n")
    code, out, _ = plugged("plugins", "show", "leaf")
    assert code == 0
    assert "quarantined" in out
    assert "schema must be 1" in out
    assert plugged("plugins", "disable", "leaf")[0] == 0
    assert "disabled" in plugged("plugins", "show", "leaf")[1]


def test_an_unknown_plugin_is_suggested(plugged):
    for command in ("show", "disable", "enable"):
        code, _, err = plugged("plugins", command, "laef")
        assert code == 2
        assert "no plugin 'laef' is installed" in err
        assert "did you mean leaf?" in err


def test_disable_and_enable(plugged):
    code, out, _ = plugged("plugins", "disable", "bad")
    assert code == 0
    assert "bad is disabled" in out
    assert str(settings.disabled_file()) in out
    _, out, _ = plugged("plugins")
    (row,) = [line for line in out.splitlines() if line.startswith("bad ")]
    assert row.endswith("disabled")
    assert "ZeroDivisionError" not in out
    plugged("plugins", "disable", "leaf")
    assert settings.disabled_file().read_text() == "bad\nleaf\n"
    assert plugged("info", "leaf/tiny")[0] == 2
    plugged("plugins", "enable", "leaf")
    assert plugged("info", "leaf/tiny")[0] == 0
    assert settings.disabled_file().read_text() == "bad\n"


def test_what_is_gone_can_still_be_enabled(plugged):
    settings.config_dir().mkdir(parents=True)
    settings.disabled_file().write_text("gone\n")
    assert plugged("plugins", "enable", "gone")[0] == 0
    assert settings.disabled_file().read_text() == ""


def test_a_folder_that_cannot_be_written(plugged, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "file"))
    code, _, err = plugged("plugins", "disable", "bad")
    assert code == 8
    assert "set ZOO_CONFIG" in err


def test_the_subcommands(plugged):
    _, out, _ = plugged("plugins", "--help")
    for name in ("show", "enable", "disable", "new", "check"):
        assert f"  {name} " in out
    code, _, err = plugged("plugins", "shwo")
    assert code == 2
    assert "shwo" in err


def test_a_run_says_whose_hooks_it_does_without(plugged, site):
    site.install(
        "elm",
        {
            "zoo_elm/__init__.py": "",
            "zoo_elm/registry.toml": "schema = 1\n[plugin]\nhooks = 'zoo_elm.hooks'\n",
            "zoo_elm/hooks.py": "1 / 0",
        },
    )
    line = ("train", "resnet18", "--data", "digits", "--dry-run")
    code, _, err = plugged(*line)
    assert code == 0
    assert "plugin elm is out of order: run hooks: cannot import zoo_elm.hooks: Zero" in err
    code, _, err = plugged(*line, "--strict")
    assert code == 4
    assert "hint: zoo plugins disable elm" in err
