import base64

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


def test_a_password_in_the_address_goes_to_the_hub_and_into_nothing_else(hub, home):
    commit = repository(hub, "ann/net", {"model.safetensors": ours(), "config.json": {}})
    basic = base64.b64encode(b"ann:s3cret").decode()
    hub.store.tokens[f"Basic {basic}"] = ("ann", "write")
    env = {"HF_ENDPOINT": hub.endpoint.replace("http://", "http://ann:s3cret@")}
    got = home.zoo("pull", "hub:ann/net", "--json", env=env)
    assert got.code == 0, got.err
    assert got.json()[0]["endpoint"] == hub.endpoint
    assert all(s.authorized for s in hub.seen if s.server == "hub")
    said = got.out + got.err
    hub.fault("status", path="/api/models/ann/net", status=503, times=1)
    hub.fault("status", path="/api/models/ann/gone", status=400, times=1)
    for reference in ("hub:ann/net", "hub:ann/gone", "hub:ann/gone", f"hub:ann/net@{commit[:4]}"):
        done = home.zoo("pull", reference, env={**env, "ZOO_DEBUG": "1"})
        said += done.out + done.err
    hub.stop()
    done = home.zoo("pull", "hub:ann/net", env={**env, "ZOO_DEBUG": "1"})
    assert "out of reach" in done.err
    said += done.out + done.err
    said += "".join(p.read_text() for p in home.path.rglob("*.json"))
    assert hub.endpoint in said
    assert "s3cret" not in said
    assert basic not in said
