import functools
import os

import pytest

from zoo.core import registry
from zoo.core.hookspecs import KINDS
from zoo.core.settings import Hub
from zoo.errors import PluginError, UnknownNameError, UsageError

LEAF = """
[[model]]
name = "leaf"
target = "zoo_leaf.parts:leaf"
aliases = ["blatt"]

[[model]]
name = "resnet18"
target = "zoo_leaf.parts:leaf"

[[loss]]
name = "leafy"
target = "zoo_leaf.parts:Focal"
options = { gamma = 2.0 }

[[loss]]
name = "plain"
target = "zoo_leaf.parts:plain"
form = "function"
options = { scale = 3 }

[[loss]]
name = "bare"
target = "zoo_leaf.parts:bare"
form = "function"

[[loss]]
name = "number"
target = "zoo_leaf.parts:NUMBER"

[[loss]]
name = "lost"
target = "zoo_leaf.gone:Focal"
"""
PARTS = """
NUMBER = 3

class Focal:
    def __init__(self, gamma=1.0, alpha=0.5):
        self.gamma, self.alpha = gamma, alpha

def leaf(num_classes=10, **options):
    return num_classes, options

def plain(outputs, targets, scale=1):
    return scale * (outputs - targets)

def bare(outputs, targets):
    return outputs + targets
"""


@pytest.fixture
def known(site):
    site.manifest("leaf", LEAF, **{"zoo_leaf/parts.py": PARTS})
    return registry.load()


def overlay(tmp_path, monkeypatch, text):
    path = tmp_path / "mine.toml"
    path.write_text("schema = 1\n" + text)
    before = os.environ.get("ZOO_REGISTRY")
    monkeypatch.setenv("ZOO_REGISTRY", os.pathsep.join(filter(None, [before, str(path)])))
    registry.load.cache_clear()
    return registry.load()


def test_every_kind_has_a_read_only_shelf(known):
    for kind in KINDS:
        with pytest.raises(TypeError):
            known.shelf(kind)["new"] = None


def test_an_unknown_kind_lists_the_kinds(known):
    with pytest.raises(UnknownNameError, match="unknown kind 'modell'") as caught:
        known.shelf("modell")
    assert "model" in caught.value.suggestions
    assert "dataset" in caught.value.hint


def test_parts_are_found_by_name_qualified_name_and_alias(known):
    assert known.find("model", "resnet50").plugin == "zoo"
    assert known.find("model", "zoo/resnet50").plugin == "zoo"
    assert known.find("model", "leaf").qualified == "leaf/leaf"
    assert known.find("model", "leaf/leaf") is known.find("model", "blatt")
    assert known.find("model", "leaf/blatt").name == "leaf"
    assert known.model("resnet50:imagenet1k_v2").name == "resnet50"


def test_a_bare_name_is_the_built_in_one(known):
    assert known.find("model", "resnet18").plugin == "zoo"
    assert known.find("model", "leaf/resnet18").plugin == "leaf"


def test_a_name_in_two_plugins_asks_which(site):
    for name in ("leaf", "oak"):
        site.manifest(name, f"[[model]]\nname = 'twin'\ntarget = 'zoo_{name}:x'\n")
    with pytest.raises(UsageError, match="'twin' is in several plugins") as caught:
        registry.load().find("model", "twin")
    assert caught.value.hint == "say which: leaf/twin, oak/twin"


def test_an_unknown_name_names_close_ones(known):
    with pytest.raises(UnknownNameError, match="unknown model 'resnt18'") as caught:
        known.find("model", "resnt18")
    assert caught.value.suggestions[0] == "resnet18"
    assert caught.value.exit_code == 2
    with pytest.raises(UnknownNameError) as caught:
        known.find("loss", "qqqqq")
    assert caught.value.hint == "zoo list --kind loss"


def test_a_source_is_not_the_name_of_a_part(known):
    with pytest.raises(UsageError, match="is not the name of a loss"):
        known.find("loss", "file:focal.py")


def test_a_part_whose_plugin_is_missing_says_how_to_get_it(tmp_path, monkeypatch, site):
    found = overlay(
        tmp_path,
        monkeypatch,
        "[[known]]\nname = 'oak/*'\nplugin = 'oak'\ninstall = 'pip install ./oak'\n"
        "[[known]]\nname = 'acorn'\nkind = 'loss'\nplugin = 'oak'\n",
    )
    with pytest.raises(UnknownNameError, match="in plugin oak") as caught:
        found.find("model", "oak/anything")
    assert caught.value.hint == "pip install ./oak"
    with pytest.raises(UnknownNameError, match="in plugin oak") as caught:
        found.find("loss", "oak/acorn")
    assert caught.value.hint == "zoo plugins"


def test_a_part_of_a_broken_plugin_points_at_the_plugin(site):
    site.code("bad", "1 / 0")
    with pytest.raises(UnknownNameError, match="plugin bad did not load") as caught:
        registry.load().find("model", "bad/tiny")
    assert caught.value.hint == "zoo plugins"


def test_build_calls_the_target_with_its_options_below_the_callers(known):
    made = known.build("loss", "leafy")
    assert (made.gamma, made.alpha) == (2.0, 0.5)
    made = known.build("loss", "leafy", gamma=5.0, alpha=0.1)
    assert (made.gamma, made.alpha) == (5.0, 0.1)
    assert known.build("model", "leaf", num_classes=3, width=2) == (3, {"width": 2})


def test_build_gives_a_function_with_its_options(known):
    plain = known.build("loss", "plain")
    assert isinstance(plain, functools.partial)
    assert plain(5, 3) == 6
    assert known.build("loss", "plain", scale=10)(5, 3) == 20
    assert known.build("loss", "bare")(5, 3) == 8


def test_build_names_a_wrong_option_and_the_right_ones(known):
    with pytest.raises(UsageError, match="loss leaf/leafy has no option 'gama'") as caught:
        known.build("loss", "leafy", gama=1)
    assert caught.value.hint == "did you mean gamma?"
    with pytest.raises(UsageError) as caught:
        known.build("loss", "leafy", zzz=1)
    assert caught.value.hint == "it takes gamma, alpha"


def test_a_target_that_imports_late_is_told_what_it_requires(site):
    entry = "[[loss]]\nname = '{}'\ntarget = 'zoo_oak.late:Late'\nrequires = ['{}']\n"
    code = "class Late:\n    def __init__(self):\n        import cv2none\n"
    text = entry.format("lacking", "opencv-none") + entry.format("other", "click")
    site.manifest("oak", text, **{"zoo_oak/late.py": code})
    with pytest.raises(PluginError, match="loss oak/lacking: ModuleNotFoundError") as caught:
        registry.load().build("loss", "oak/lacking")
    assert caught.value.hint == "pip install opencv-none"
    with pytest.raises(ModuleNotFoundError):
        registry.load().build("loss", "oak/other")


def test_build_of_what_cannot_be_built(known):
    with pytest.raises(UsageError, match=r"target zoo_leaf\.parts:NUMBER is not callable"):
        known.build("loss", "number")
    with pytest.raises(PluginError, match=r"cannot import zoo_leaf\.gone"):
        known.build("loss", "lost")
    with pytest.raises(UnknownNameError):
        known.build("loss", "nope")


def test_a_target_is_asked_with_its_options_below_the_callers(site):
    text = """
[[dataset]]
name = "asked"
target = "zoo_oak.late:Asked"
options = { last = "test" }

[[dataset]]
name = "mute"
target = "zoo_oak.late:Mute"
"""
    code = (
        "class Asked:\n    @staticmethod\n    def splits(root, last):\n        return [root, last]\n"
        "class Mute:\n    pass\n"
    )
    site.manifest("oak", text, **{"zoo_oak/late.py": code})
    known = registry.load()
    assert known.ask("dataset", "oak/asked", "splits", root="r") == ["r", "test"]
    assert known.ask("dataset", "oak/asked", "splits", root="r", last="val") == ["r", "val"]
    with pytest.raises(UsageError, match="has no option 'lats'"):
        known.ask("dataset", "oak/asked", "splits", root="r", lats="val")
    with pytest.raises(PluginError, match="has no function splits"):
        known.ask("dataset", "oak/mute", "splits", root="r")


def test_an_overlay_adds_weights_and_a_recipe(tmp_path, monkeypatch, site):
    found = overlay(
        tmp_path,
        monkeypatch,
        """
        [hub]
        endpoint = "http://hub.internal"
        [[model]]
        name = "resnet18"
        recipe = { "optim.lr" = 0.5 }
        [[model.weights]]
        name = "leaves"
        source = "hub:company/resnet18-leaves"
        classes = 12
        [[model.weights]]
        name = "imagenet1k_v1"
        source = "file:/mirror/resnet18.safetensors"
        """,
    )
    model = found.model("resnet18")
    assert [w.name for w in model.weights][:2] == ["leaves", "imagenet1k_v1"]
    assert model.weights[1].source == "file:/mirror/resnet18.safetensors"
    assert model.weights[1].classes == 1000, "fields that are not named stay"
    assert model.recipe["optim.lr"] == 0.5
    assert found.hub == {"endpoint": "http://hub.internal"}


def test_an_overlay_adds_whole_parts_and_later_ones_win(tmp_path, monkeypatch, site):
    text = "[[loss]]\nname = 'ours'\ntarget = 'json:dumps'\n[hub]\nendpoint = 'http://{}'\n"
    config = tmp_path / "config"
    config.mkdir()
    (config / "registry.toml").write_text("schema = 1\n" + text.format("first"))
    monkeypatch.setenv("ZOO_CONFIG", str(config))
    found = overlay(tmp_path, monkeypatch, "[hub]\nendpoint = 'http://second'\n")
    assert found.find("loss", "ours").plugin == "zoo"
    assert found.hub["endpoint"] == "http://second"


def test_an_overlay_reaches_a_plugins_model(tmp_path, monkeypatch, site):
    site.manifest("leaf", LEAF)
    found = overlay(
        tmp_path, monkeypatch, "[[model]]\nname = 'leaf/leaf'\nrecipe = { 'optim.lr' = 2.0 }\n"
    )
    assert found.model("leaf").recipe == {"optim.lr": 2.0}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[loss]]\nname = 'cross-entropy'\ntarget = 'm:x'", "'cross-entropy' exists already"),
        ("[[model]]\nname = 'resnt18'\nrecipe = {}", "may only add weights"),
        ("[[loss]]\nname = 'focal'\nsummary = 'x'", "may only add weights"),
        ("[[model]]\nname = 'resnet18'\nhead = 'x'", "may only add weights"),
        ("[[model]]\nname = 'resnet18'\nrecipe = 3", "recipe must be a table"),
        ("[[model]]\nname = 'resnet18'\nweights = 3", "weights must be a list of tables"),
        ("[[model]]\nname = 'resnet18'\nweights = [3]", "weights must be a list of tables"),
        ("[[model]]\nname = 'resnet18'\n[[model.weights]]\nname = 'new'", "weights 'new'"),
        ("[[model]]\nname = 'resnet18'\n[[model.weights]]\nname = ['x']", "weights"),
        ("[[model]]\nname = 3", "'3'"),
    ],
)
def test_a_wrong_overlay_names_file_and_entry(tmp_path, monkeypatch, site, text, said):
    with pytest.raises(UsageError) as caught:
        overlay(tmp_path, monkeypatch, text)
    assert said in caught.value.message
    assert "mine.toml" in caught.value.message


def test_a_misspelt_model_in_an_overlay_is_suggested(tmp_path, monkeypatch, site):
    with pytest.raises(UsageError) as caught:
        overlay(tmp_path, monkeypatch, "[[model]]\nname = 'resnt18'\nrecipe = {}")
    assert "resnet18" in caught.value.hint


def test_an_overlay_that_is_named_must_be_there(tmp_path, monkeypatch, site):
    monkeypatch.setenv("ZOO_REGISTRY", str(tmp_path / "gone.toml"))
    with pytest.raises(UsageError, match=r"gone\.toml"):
        registry.load()


def test_the_repositorys_own_catalogue_is_no_overlay(monkeypatch, site):
    monkeypatch.chdir(registry.builtin_path().parent)
    assert registry.load().model("resnet18").plugin == "zoo"


HOOKS = """
from zoo.plugin import hookimpl
@hookimpl
def zoo_run_started(run):
    run.append("leaf")
"""


def test_hook_modules_are_imported_when_hooks_are_asked_for(site):
    import sys

    site.manifest("leaf", "[plugin]\nhooks = 'zoo_leaf.hooks'\n", **{"zoo_leaf/hooks.py": HOOKS})
    known = registry.load()
    assert "zoo_leaf.hooks" not in sys.modules
    run = []
    known.run_hooks().zoo_run_started(run=run)
    assert known.run_hooks() is known.run_hooks()
    assert run == ["leaf"]
    assert known.manager.has_plugin("leaf.hooks")


def test_what_is_read_and_does_nothing_is_noted(tmp_path, monkeypatch, site):
    site.manifest(
        "leaf",
        f"[hub]\nendpoint = 'http://x'\n[[pin]]\nsource = 'hub:a/b'\nrevision = '{'0' * 40}'",
    )
    found = overlay(tmp_path, monkeypatch, "[plugin]\nhooks = 'm'\n")
    texts = found.notes()
    assert [text.partition(": ")[2] for text in texts] == [
        "[plugin] hooks is ignored: an overlay runs no code",
        "[hub] is ignored: only overlays set it",
        "[[pin]] is ignored: only overlays set it",
    ]
    assert found.hub == found.pins == {}


def test_the_registry_is_read_once(fresh):
    assert fresh() is fresh()


@pytest.fixture
def inside(monkeypatch, tmp_path):
    """A folder whose overlay names a Hub."""
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    said = "schema = 1\n[hub]\nendpoint = 'https://inside.example/'\n"
    (tmp_path / "registry.toml").write_text(said)
    registry.load.cache_clear()
    yield tmp_path
    registry.load.cache_clear()


def test_an_overlay_names_a_hub_that_gets_no_token(inside, monkeypatch):
    assert registry.hub() == Hub("https://inside.example", takes_token=False)
    monkeypatch.setenv("HF_ENDPOINT", " ")
    assert registry.hub() == Hub("https://inside.example", takes_token=False)
    monkeypatch.setenv("HF_ENDPOINT", "https://mine.example/")
    assert registry.hub() == Hub("https://mine.example", takes_token=True)


def test_without_any_word_it_is_the_public_hub(inside):
    (inside / "registry.toml").unlink()
    assert registry.hub() == Hub("https://huggingface.co", takes_token=True)
