import sys

import pytest

from zoo.core import plugins, registry
from zoo.core.hookspecs import KINDS
from zoo.errors import PluginError

GOOD = """
from zoo.plugin import ModelSpec, hookimpl

@hookimpl
def zoo_models():
    yield ModelSpec(name="tiny", target="zoo_good:tiny")
"""

TINY = "[[model]]\nname = 'tiny'\ntarget = 'zoo_leaf.models:tiny'\n"


def load():
    return plugins.load(registry.builtin_path())


def info(name, loaded=None):
    (found,) = [i for i in (loaded or load()).infos if i.name == name]
    return found


def test_the_built_in_catalogue_comes_first_through_the_same_door(site):
    loaded = load()
    assert loaded.infos[0].name == "zoo"
    assert loaded.infos[0].form == "builtin"
    assert loaded.infos[0].parts["model"] >= 80
    assert loaded.manager.hook.zoo_models()


def test_a_manifest_plugin_is_data_and_is_not_imported(site):
    site.manifest("leaf", TINY, **{"zoo_leaf/__init__.py": "raise RuntimeError('imported')"})
    loaded = load()
    found = info("leaf", loaded)
    assert (found.state, found.form, found.parts) == ("ok", "manifest", {"model": 1})
    assert (found.distribution, found.version) == ("zoo-leaf", "1.0")
    assert found.path.endswith("registry.toml")
    assert loaded.parts["leaf"]["model"][0].plugin == "leaf"
    assert "zoo_leaf" not in sys.modules


def test_a_plugin_of_one_file_is_imported(site):
    site.code("good", GOOD)
    loaded = load()
    found = info("good", loaded)
    assert (found.state, found.form, found.parts) == ("ok", "code", {"model": 1})
    assert found.path.endswith("zoo_good.py")
    assert [s.qualified for s in loaded.parts["good"]["model"]] == ["good/tiny"]


def test_an_entry_point_may_name_an_object(site):
    site.install(
        "shelf",
        {
            "zoo_shelf.py": GOOD.replace("@hookimpl", "class Shelf:\n  @hookimpl")
            .replace("def zoo_models():\n    yield", "def zoo_models(self):\n        yield")
            .replace("  @hookimpl\ndef", "  @hookimpl\n  def")
            + "\nmine = Shelf()\n"
        },
        entry="zoo_shelf:mine",
    )
    assert info("shelf").parts == {"model": 1}


def test_a_hook_may_have_another_name_in_the_code(site):
    site.code(
        "good",
        GOOD.replace("@hookimpl", "@hookimpl(specname='zoo_models')").replace(
            "def zoo_models", "def mine"
        ),
    )
    assert info("good").parts == {"model": 1}


def test_lists_in_code_become_what_a_manifest_makes_of_them(site):
    extra = """target="m:x", stages=[["stem", ["a"]]], aliases=["t"],
        input=InputSpec(size=[3, 8, 8], mean=[0, 0.5, 1]), options={"odd": object}"""
    text = GOOD.replace('target="zoo_good:tiny"', extra).replace(
        "ModelSpec,", "ModelSpec, InputSpec,"
    )
    site.code("good", text)
    (spec,) = load().parts["good"]["model"]
    assert (spec.stages, spec.aliases) == ((("stem", ("a",)),), ("t",))
    assert (spec.input.size, spec.input.mean) == ((3, 8, 8), (0.0, 0.5, 1.0))
    assert spec.options == {"odd": object}


def test_run_hooks_are_listed(site):
    site.code("good", GOOD + "\n@hookimpl\ndef zoo_run_started(run):\n    pass\n")
    assert info("good").hooks == ("zoo_run_started",)


EVERY_HOOK = {
    "zoo_models": "ModelSpec",
    "zoo_datasets": "DatasetSpec",
    "zoo_losses": "LossSpec",
    "zoo_transforms": "TransformSpec",
    "zoo_optimizers": "OptimizerSpec",
    "zoo_schedulers": "SchedulerSpec",
    "zoo_metrics": "MetricSpec",
    "zoo_exporters": "ExporterSpec",
    "zoo_trackers": "TrackerSpec",
    "zoo_commands": "CommandSpec",
}


def test_every_catalogue_hook_of_a_code_plugin_is_collected(site):
    text = "from zoo.plugin import *\n"
    for hook, spec in EVERY_HOOK.items():
        text += f"@hookimpl\ndef {hook}():\n    return [{spec}(name='one', target='m:one')]\n"
    site.code("all", text)
    loaded = load()
    assert info("all", loaded).parts == dict.fromkeys(KINDS, 1)
    for kind, (hook, spec, _) in KINDS.items():
        (made,) = loaded.parts["all"][kind]
        assert (type(made), made.plugin) == (spec, "all")
        assert spec.__name__ == EVERY_HOOK[hook]


BROKEN = {
    "raises on import": ("1 / 0", "ZeroDivisionError: division by zero"),
    "is not Python": ("def", "SyntaxError"),
    "needs a missing module": ("import none_such", "No module named 'none_such'"),
    "exits": ("import sys; sys.exit(2)", "SystemExit: 2"),
    "raises Ctrl-C": ("raise KeyboardInterrupt", "KeyboardInterrupt"),
    "misspells a hook": (
        GOOD.replace("zoo_models", "zoo_modells"),
        "unknown hook 'zoo_modells' in plugin",
    ),
    "takes a strange argument": (
        GOOD.replace("zoo_models()", "zoo_models(config)"),
        "{'config'} are declared in the hookimpl",
    ),
    "raises in a hook": (
        GOOD.replace("yield", "raise OSError('no');yield"),
        "OSError: no",
    ),
    "gives another spec": (
        GOOD.replace("ModelSpec", "LossSpec"),
        "zoo_models gave LossSpec, not ModelSpec",
    ),
    "gives no list": (GOOD.replace("yield", "return 3 or"), "zoo_models gave int, not ModelSpecs"),
    "gives text": (GOOD.replace("yield", "return 'x' or"), "zoo_models gave str"),
    "gives a bad name": (GOOD.replace('"tiny"', '"a/b"'), "'a/b' is not a name"),
    "gives a name twice": (
        GOOD + '    yield ModelSpec(name="x", target="m:x", aliases=("tiny",))',
        "named twice: tiny",
    ),
    "gives a tuple as input": (
        GOOD.replace('target="zoo_good:tiny"', 'target="m:x", input=(3, 4, 5)'),
        "zoo_models: model 'tiny': Expected `object`, got `array` - at `input`",
    ),
    "gives no weights as None": (
        GOOD.replace('target="zoo_good:tiny"', 'target="m:x", weights=None'),
        "zoo_models: model 'tiny': Expected `array`, got `null` - at `weights`",
    ),
    "gives a number as text": (
        GOOD.replace('target="zoo_good:tiny"', 'target="m:x", params="5M"'),
        "zoo_models: model 'tiny': Expected `int`, got `str` - at `params`",
    ),
    "gives weights with a wrong size": (
        GOOD.replace("ModelSpec,", "ModelSpec, WeightsSpec,").replace(
            'target="zoo_good:tiny"',
            'target="m:x", weights=[WeightsSpec(name="w", source="file:x", bytes="1")]',
        ),
        "Expected `int`, got `str` - at `weights[0].bytes`",
    ),
    "names its aliases in a text": (
        GOOD.replace('target="zoo_good:tiny"', 'target="m:x", aliases="small"'),
        "Expected `array`, got `str` - at `aliases`",
    ),
    "gives a number as a name": (
        GOOD.replace('"tiny"', "3"),
        "zoo_models: model 3: Expected `str`, got `int` - at `name`",
    ),
    "wants another api": ("ZOO_API = '>=2'\n" + GOOD, "written for plugin api >=2; this zoo has 1"),
    "states a strange api": ("ZOO_API = 'new'\n" + GOOD, "api range 'new' is malformed"),
}


@pytest.mark.parametrize("fault", BROKEN)
def test_a_broken_code_plugin_breaks_only_itself(site, fault):
    text, reason = BROKEN[fault]
    site.code("bad", text)
    site.code("good", GOOD)
    loaded = load()
    found = info("bad", loaded)
    assert found.state == "quarantined"
    assert reason in found.error
    assert "\n" not in found.error
    assert info("good", loaded).state == "ok"
    assert not loaded.manager.has_plugin("bad")
    assert "bad" not in loaded.parts


BROKEN_MANIFESTS = {
    "is not TOML": ("[[model", "registry.toml"),
    "has an unknown key": (TINY + "colour = 'red'", "unknown key 'colour'"),
    "wants another api": ("[plugin]\napi = '>=9'", "written for plugin api >=9"),
    "excludes this api": ("[plugin]\napi = '!=1'", "written for plugin api !=1"),
}


@pytest.mark.parametrize("fault", BROKEN_MANIFESTS)
def test_a_broken_manifest_breaks_only_its_plugin(site, fault):
    text, reason = BROKEN_MANIFESTS[fault]
    site.manifest("bad", text)
    site.manifest("leaf", TINY)
    loaded = load()
    assert info("bad", loaded).state == "quarantined"
    assert reason in info("bad", loaded).error
    assert info("leaf", loaded).state == "ok"


@pytest.mark.parametrize(
    ("name", "entry", "reason"),
    [
        ("bad", "zoo_bad:gone", "AttributeError"),
        ("bad", "", "ValueError"),
        ("bad", "none_such_package", "ModuleNotFoundError"),
        ("bad", "zoo_bad:nothing", "names nothing"),
        ("zoo", "zoo_bad", "'zoo' cannot be a plugin's name"),
        ("b d", "zoo_bad", "'b d' cannot be a plugin's name"),
    ],
)
def test_a_broken_entry_point_breaks_only_its_plugin(site, name, entry, reason):
    site.install(name, {"zoo_bad.py": "nothing = None"}, entry=entry)
    found = [i for i in load().infos if i.name == name][-1]
    assert found.state == "quarantined"
    assert reason in found.error


def test_an_entry_point_that_no_file_system_accepts(site):
    site.install("bad", entry="zoo\0bad")
    assert info("bad").state == "quarantined"


def test_two_distributions_with_one_plugin_name_are_both_held_back(site):
    site.code("good", GOOD)
    site.install("good", distribution="zoo-better")
    found = [i for i in load().infos if i.name == "good"]
    assert [i.state for i in found] == ["quarantined"] * 2
    assert "zoo-better, zoo-good" in found[0].error


def test_one_module_under_two_names_counts_once(site):
    site.code("good", GOOD)
    site.install("again", entry="zoo_good")
    states = {i.name: i.state for i in load().infos}
    assert sorted((states["good"], states["again"])) == ["ok", "quarantined"]


def test_what_is_not_wanted_is_listed_and_not_loaded(site, monkeypatch):
    site.code("good", "raise RuntimeError")
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "good")
    assert info("good").state == "disabled"
    monkeypatch.delenv("ZOO_DISABLE_PLUGINS")
    monkeypatch.setenv("ZOO_PLUGINS", "other")
    assert info("good").state == "disabled"
    assert "zoo_good" not in sys.modules


def test_strict_plugins_stop_everything(site, monkeypatch):
    site.code("bad", "1 / 0")
    monkeypatch.setenv("ZOO_STRICT_PLUGINS", "1")
    with pytest.raises(PluginError, match="plugin bad: ZeroDivisionError") as caught:
        load()
    assert caught.value.exit_code == 4


def test_a_plugin_neither_prints_to_stdout_nor_moves_the_random_state(site, capsys):
    import random

    site.code("good", "import random\nrandom.seed(7)\nprint('loud')\n" + GOOD)
    random.seed(3)
    first = random.random()
    random.seed(3)
    load()
    assert random.random() == first
    out, err = capsys.readouterr()
    assert (out, err) == ("", "loud\n")


def test_register_alone_refuses_what_is_misspelt():
    import pluggy

    from zoo.core.hookspecs import RunHooks, hookimpl

    class Mine:
        @hookimpl
        def zoo_run_startet(self):
            pass

    manager = pluggy.PluginManager("zoo")
    manager.add_hookspecs(RunHooks)
    with pytest.raises(PluginError, match="unknown hook 'zoo_run_startet'") as caught:
        plugins.register(manager, "mine", Mine())
    assert "zoo_run_started" in caught.value.hint


@pytest.mark.parametrize("text", ["", ">=1", ">=1,<2", "==1", "<=1", "!=2", " < 2 "])
def test_api_ranges_that_hold(site, text):
    site.manifest("leaf", f"[plugin]\napi = '{text}'\n{TINY}")
    assert info("leaf").state == "ok"


@pytest.mark.parametrize("text", [">1", "<1", "==2", ">=2", "<=0", "!=1", ">=1,<1"])
def test_api_ranges_that_do_not_hold(site, text):
    site.manifest("leaf", f"[plugin]\napi = '{text}'\n{TINY}")
    assert info("leaf").state == "quarantined"
