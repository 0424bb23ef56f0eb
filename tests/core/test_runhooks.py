"""Hook modules are imported when a run starts; one that does not load is left out alone."""

import pytest

from zoo.core import registry
from zoo.errors import PluginError

HOOKS = """
from zoo.plugin import hookimpl
@hookimpl
def zoo_run_started(run):
    run.append("leaf")
"""
HOOKED = "[plugin]\nhooks = 'zoo_{0}.hooks'\n[[model]]\nname = 'm'\ntarget = 'zoo_{0}:x'\n"
WRONG_HOOKS = [
    ("1 / 0", "cannot import zoo_leaf.hooks: ZeroDivisionError"),
    ("raise SystemExit(5)", "cannot import zoo_leaf.hooks: SystemExit"),
    (HOOKS.replace("zoo_run_started", "zoo_run_startet"), "unknown hook 'zoo_run_startet'"),
    (HOOKS.replace("(run)", "(config)"), "'config'"),
]


def hooked(site, name, text):
    site.manifest(name, HOOKED.format(name), **{f"zoo_{name}/hooks.py": text})


@pytest.mark.parametrize(("text", "said"), WRONG_HOOKS)
def test_a_broken_hook_module_is_left_out_alone(site, capsys, text, said):
    hooked(site, "leaf", text)
    hooked(site, "oak", HOOKS.replace("leaf", "oak"))
    known = registry.load()
    for _ in range(2):
        run = []
        known.run_hooks().zoo_run_started(run=run)
        assert run == ["oak"]
    assert capsys.readouterr() == ("", ""), "the library says nothing itself"
    found = {info.name: info for info in known.plugins}
    assert found["leaf"].state == "quarantined"
    assert found["leaf"].error.startswith("run hooks: ")
    assert said in found["leaf"].error
    assert (found["oak"].state, found["oak"].hooks) == ("ok", ("zoo_run_started",))
    assert known.model("leaf/m").name == "m"


@pytest.mark.parametrize(("text", "said"), WRONG_HOOKS)
def test_a_broken_hook_module_is_an_error_where_plugins_are_strict(site, monkeypatch, text, said):
    hooked(site, "leaf", text)
    monkeypatch.setenv("ZOO_STRICT_PLUGINS", "1")
    for _ in range(2):
        with pytest.raises(PluginError, match="plugin leaf, run hooks: ") as caught:
            registry.load().run_hooks()
        assert said in caught.value.message
        assert caught.value.hint.startswith("zoo plugins disable leaf")


def test_a_catalogue_hook_in_a_hook_module_is_said_to_be_ignored(site):
    hooked(site, "leaf", HOOKS + "@hookimpl\ndef zoo_losses():\n    return []\n")
    known = registry.load()
    known.run_hooks()
    (info,) = [info for info in known.plugins if info.name == "leaf"]
    assert info.state == "ok"
    assert info.error == "zoo_losses in zoo_leaf.hooks is ignored: the manifest names the parts"
