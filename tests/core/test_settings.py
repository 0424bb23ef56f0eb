import os

import pytest

from zoo.core import settings


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    for name in (*settings.VARIABLES, "HF_HUB_OFFLINE", "HF_ENDPOINT", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize(
    ("text", "truth"),
    [("1", True), ("true", True), (" YES ", True), ("on", True), ("0", False), ("", False)],
)
def test_a_flag_is_on_when_it_says_so(monkeypatch, text, truth):
    monkeypatch.setenv("ZOO_DEBUG", text)
    assert settings.debug() is truth


@pytest.mark.parametrize("name", ["ZOO_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_by_either_name(monkeypatch, name):
    assert not settings.offline()
    monkeypatch.setenv(name, "1")
    assert settings.offline()


def test_the_endpoint_has_no_trailing_slash(monkeypatch):
    assert settings.endpoint() == ""
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.internal/ ")
    assert settings.endpoint() == "http://hub.internal"


def test_folders_follow_their_variable_then_xdg_then_home(monkeypatch, tmp_path):
    assert settings.cache_dir() == tmp_path / ".cache" / "zoo"
    assert settings.config_dir() == tmp_path / ".config" / "zoo"
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/x")
    assert str(settings.cache_dir()) == os.path.join("/var/x", "zoo")
    monkeypatch.setenv("ZOO_CACHE", "~/here")
    assert settings.cache_dir() == tmp_path / "here"


def test_asking_for_a_folder_does_not_make_it():
    assert not settings.cache_dir().exists()
    assert not settings.config_dir().exists()


def test_allowed_plugins_unset_empty_and_listed(monkeypatch):
    assert settings.allowed_plugins() is None
    monkeypatch.setenv("ZOO_PLUGINS", "")
    assert settings.allowed_plugins() == frozenset()
    monkeypatch.setenv("ZOO_PLUGINS", " timm, ,board ")
    assert settings.allowed_plugins() == {"timm", "board"}


def test_denied_plugins_add_the_stored_switches(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path))
    assert settings.denied_plugins() == frozenset()
    settings.disabled_file().write_text("timm\n\n board \n", "utf-8")
    monkeypatch.setenv("ZOO_DISABLE_PLUGINS", "x")
    assert settings.denied_plugins() == {"timm", "board", "x"}


def test_an_unreadable_switch_file_denies_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path))
    settings.disabled_file().write_bytes(b"\xff\xfe")
    assert settings.denied_plugins() == frozenset()


def test_overlays_from_config_folder_to_here_to_variable(monkeypatch, tmp_path):
    config = tmp_path / "config"
    config.mkdir()
    monkeypatch.setenv("ZOO_CONFIG", str(config))
    assert settings.overlays() == ()
    (tmp_path / "registry.toml").write_text("schema = 1\n")
    (config / "registry.toml").write_text("schema = 1\n")
    monkeypatch.setenv("ZOO_REGISTRY", os.pathsep.join(["a.toml", "", "b.toml"]))
    found = [str(path) for path in settings.overlays()]
    assert found == [str(config / "registry.toml"), "registry.toml", "a.toml", "b.toml"]


def test_strict_plugins_and_discovery(monkeypatch):
    assert not settings.strict_plugins()
    assert settings.discovery() == "path"
    monkeypatch.setenv("ZOO_STRICT_PLUGINS", "1")
    monkeypatch.setenv("ZOO_DISCOVERY", "metadata")
    assert settings.strict_plugins()
    assert settings.discovery() == "metadata"


def test_every_variable_says_what_it_does():
    assert all(
        name.startswith("ZOO_") and text.endswith(".") for name, text in settings.VARIABLES.items()
    )


def test_the_launchers_own_variable_is_in_the_table_too():
    from zoo.engine.processes.launch import NOTE

    assert NOTE == "ZOO_RUN_NOTE"
    assert NOTE in settings.VARIABLES


@pytest.mark.parametrize("before", [None, "0", "1"])
def test_a_while_without_the_network(monkeypatch, before):
    monkeypatch.delenv("ZOO_OFFLINE", raising=False)
    if before is not None:
        monkeypatch.setenv("ZOO_OFFLINE", before)
    with settings.without_network():
        assert settings.offline()
    assert os.environ.get("ZOO_OFFLINE") == before
