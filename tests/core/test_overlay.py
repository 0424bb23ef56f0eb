"""What an overlay adds to plugins that are not loaded waits for them and stops nobody."""

import pytest

from zoo.core import registry
from zoo.errors import UnknownNameError, UsageError

LEAF = "[[model]]\nname = 'base'\ntarget = 'zoo_leaf:x'\n"
PATCH = "[[model]]\nname = 'leaf/base'\nrecipe = { 'optim.lr' = 2.0 }\n"


@pytest.fixture
def overlaid(tmp_path, monkeypatch, site):
    """Read the registry with an overlay of this text."""
    path = tmp_path / "mine.toml"
    monkeypatch.setenv("ZOO_REGISTRY", str(path))

    def read(text=PATCH):
        path.write_text("schema = 1\n" + text)
        registry.load.cache_clear()
        return registry.load()

    return read


def test_a_patch_reaches_the_model_of_a_plugin_that_is_loaded(overlaid, site):
    site.manifest("leaf", LEAF)
    known = overlaid()
    assert known.model("leaf/base").recipe == {"optim.lr": 2.0}
    assert known.waiting == []


def test_a_plugin_that_is_not_installed_is_asked_for_by_name(overlaid):
    known = overlaid()
    assert known.model("resnet18").name == "resnet18"
    assert [(w.name, w.plugin) for w in known.waiting] == [("leaf/base", "leaf")]
    with pytest.raises(UnknownNameError, match="in plugin leaf, which is not installed") as caught:
        known.model("leaf/base")
    assert caught.value.hint.startswith("install plugin leaf; ")
    assert "mine.toml" in caught.value.hint
    with pytest.raises(UnknownNameError, match="unknown model 'leaf/other'"):
        known.model("leaf/other")


def test_a_plugin_that_is_switched_off_says_how_it_is_switched_on(
    overlaid, site, monkeypatch, tmp_path
):
    site.manifest("leaf", LEAF)
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path))
    (tmp_path / "disabled-plugins").write_text("leaf\n")
    with pytest.raises(UnknownNameError, match="plugin leaf is switched off") as caught:
        overlaid().model("leaf/base")
    assert caught.value.hint == "zoo plugins enable leaf"
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "leaf")
    with pytest.raises(UnknownNameError) as caught:
        overlaid().model("leaf/base")
    assert caught.value.hint == "ZOO_DISABLE_PLUGINS names leaf"
    monkeypatch.delenv("ZOO_DISABLE_PLUGINS")
    (tmp_path / "disabled-plugins").unlink()
    monkeypatch.setenv("ZOO_PLUGINS", "other")
    with pytest.raises(UnknownNameError) as caught:
        overlaid().model("leaf/base")
    assert caught.value.hint == "add leaf to ZOO_PLUGINS, or unset it"


def test_a_broken_plugin_does_not_break_what_is_laid_over_it(overlaid, site):
    site.code("leaf", "1 / 0")
    known = overlaid()
    assert len(known.waiting) == 1
    with pytest.raises(UnknownNameError, match="plugin leaf did not load"):
        known.model("leaf/base")


@pytest.mark.parametrize(
    "text",
    [
        PATCH.replace("base", "bse"),
        PATCH.replace("leaf/base", "bse"),
        PATCH.replace("leaf/", "zoo/"),
        PATCH + "head = 'x'\n",
        PATCH.replace("leaf/", "oak/") + "head = 'x'\n",
        PATCH.replace("leaf/", "oak/").replace("model", "loss"),
    ],
)
def test_what_is_wrong_whoever_is_there_is_still_an_error(overlaid, site, text):
    site.manifest("leaf", LEAF)
    with pytest.raises(UsageError, match="may only add weights"):
        overlaid(text)


def test_zoo_plugins_shows_what_waits(overlaid, zoo):
    overlaid()
    code, _, err = zoo("plugins")
    assert code == 0
    assert "mine.toml: what it adds to leaf/base waits for plugin leaf" in err
    assert zoo("list", "resnet18")[0] == 0
