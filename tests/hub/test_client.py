import pytest
from loopback_weights import repository

from zoo.core import settings
from zoo.errors import HubError
from zoo.hub import client, tokens

HUB = "https://hub.example"


@pytest.fixture(autouse=True)
def clean(here, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", HUB)


def test_the_token_goes_to_the_hub_that_the_user_chose_and_nowhere_else(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    assert client.headers(f"{HUB}/a/b")["authorization"] == "Bearer hf_secret"
    assert "authorization" not in client.headers("https://cdn.example/a")
    assert "authorization" not in client.headers(f"{HUB}.evil.org/a")


def test_no_token_in_the_clear(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
    for use in (client.api, lambda: client.headers("http://hub.example/a")):
        with pytest.raises(HubError, match="refusing to send the token of HF_TOKEN") as error:
            use()
        assert "hf_secret" not in str(error.value)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert client.headers("http://127.0.0.1:9/a")["authorization"]
    monkeypatch.delenv("HF_TOKEN")
    monkeypatch.setenv("HF_ENDPOINT", "http://hub.example")
    assert client.api().endpoint == "http://hub.example"


def test_an_overlay_names_a_hub_but_gets_no_token(monkeypatch, tmp_path):
    from zoo.core import registry

    monkeypatch.delenv("HF_ENDPOINT")
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    (tmp_path / "registry.toml").write_text(
        "schema = 1\n[hub]\nendpoint = 'https://other.example/'\n"
    )
    registry.load.cache_clear()
    try:
        api = client.api()
        assert (api.endpoint, api.token) == ("https://other.example", False)
        assert "authorization" not in client.headers("https://other.example/a")
        assert tokens.token_origin() == ""
        monkeypatch.setenv("HF_ENDPOINT", HUB)
        assert client.api().endpoint == HUB
        assert tokens.token_origin() == "HF_TOKEN"
    finally:
        registry.load.cache_clear()


@pytest.mark.parametrize("name", ["ZOO_OFFLINE", "HF_HUB_OFFLINE"])
def test_offline_mode_opens_nothing(monkeypatch, name):
    monkeypatch.setenv(name, "1")
    assert settings.offline()
    for use in (client.api, client.session):
        with pytest.raises(HubError, match="offline mode"):
            use()


def test_timeouts_follow_the_clients_own_setting(monkeypatch):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 30)
    assert client.timeout() == (5.0, 30.0, 30.0, 5.0)
    monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 1)
    assert client.timeout()[0] == 1.0


def test_importing_the_room_costs_no_client(home):
    code = (
        "import sys, zoo.hub.fetch, zoo.hub.publish, zoo.hub.lock, zoo.hub.mirror, zoo.hub.verify;"
        "print(sorted({'torch', 'huggingface_hub', 'safetensors', 'httpx', 'httpx2'} & set(sys.modules)))"
    )
    assert home.run("-c", code, bare=True).out.strip() == "[]"


def test_a_redirect_to_another_host_loses_the_token(hub, home):
    repository(hub, "ann/net", {"config.json": {}}, private=True)
    code = (
        "from zoo.hub.repo import open_repo; from zoo.hub.address import Address;"
        "print(open_repo(Address('ann/net')).commit)"
    )
    done = home.run("-c", code, env={"HF_TOKEN": hub.store.token("ann")})
    assert done.out.strip() == hub.store.repos["ann/net"].head.oid


def test_a_timeout_that_is_no_number_is_said(home):
    for argv in (["pull", "hub:ann/net"], ["pull", "resnet18"], ["list", "--hub", "x"], ["verify"]):
        done = home.zoo(*argv, env={"HF_HUB_DOWNLOAD_TIMEOUT": "abc"})
        assert done.code == 2, done.err
        assert done.error == "error: the Hub client does not accept HF_HUB_DOWNLOAD_TIMEOUT=abc"


def test_a_token_that_cannot_be_one_is_said(monkeypatch):
    for token in ("hf_sécret", "hf_a b", "hf_\u2026"):
        monkeypatch.setenv("HF_TOKEN", token)
        for use in (client.api, lambda: client.headers(f"{HUB}/a")):
            with pytest.raises(HubError, match="HF_TOKEN holds characters that no token") as error:
                use()
            assert token not in str(error.value)
