import pytest
from loopback_weights import ours, repository

from zoo.core import registry
from zoo.hub.endpoint import endpoint, takes_token


def test_the_environment_wins(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example/")
    assert endpoint() == "https://hub.example"
    assert takes_token()


def test_without_it_the_overlay_and_then_the_public_hub(monkeypatch, tmp_path):
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    registry.load.cache_clear()
    assert endpoint() == "https://huggingface.co"
    assert takes_token()
    (tmp_path / "registry.toml").write_text(
        "schema = 1\n[hub]\nendpoint = 'https://inside.example'\n"
    )
    registry.load.cache_clear()
    try:
        assert endpoint() == "https://inside.example"
        assert not takes_token()
    finally:
        registry.load.cache_clear()


@pytest.mark.parametrize("kept", ["HF_TOKEN", "a stored login"])
def test_no_request_to_an_address_of_an_overlay_carries_the_token(hub, home, kept):
    repository(hub, "ann/net", {"model.safetensors": ours(), "config.json": {}})
    (home.work / "registry.toml").write_text(f"schema = 1\n[hub]\nendpoint = '{hub.endpoint}'\n")
    token = hub.store.token("ann")
    env: dict[str, str | None] = {"HF_ENDPOINT": None}
    if kept == "HF_TOKEN":
        env["HF_TOKEN"] = token
    else:
        (home.path / "hf").mkdir()
        (home.path / "hf" / "token").write_text(token)
    for argv in (["pull", "hub:ann/net"], ["list", "--hub", "net"], ["lock", "hub:ann/net"]):
        assert home.zoo(*argv, env=env).code == 0
    assert {(s.server, s.method) for s in hub.seen} >= {
        ("hub", "GET"),
        ("hub", "HEAD"),
        ("cdn", "GET"),
    }
    assert not [s for s in hub.seen if s.authorized]
    hub.seen.clear()
    assert home.zoo("list", "--hub", "net", env={**env, "HF_ENDPOINT": hub.endpoint}).code == 0
    assert [s for s in hub.seen if s.authorized]
