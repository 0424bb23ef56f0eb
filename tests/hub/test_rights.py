"""A refusal is told by the token: none, a wrong one, one without the right, one held back."""

import pytest
from huggingface_hub import errors as hub
from loopback_fixtures import http

from zoo.core import registry
from zoo.hub import failures
from zoo.hub.failures import translate
from zoo.hub.subject import Subject

ASKED = Subject(repo="ann/net", revision="v1", file="model.safetensors", ways="the ways on")


@pytest.fixture(autouse=True)
def settled(here):
    pass


def answer(kind, status):
    request = http.Request("GET", "https://x", headers={"authorization": "Bearer hf_secret"})
    return kind("what the server said", response=http.Response(status, request=request))


def test_a_token_changes_what_a_missing_repository_means(monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    missing = answer(hub.RepositoryNotFoundError, 404)
    assert "the token of HF_TOKEN may not see it" in str(translate(missing, ASKED))
    wrong = answer(hub.RepositoryNotFoundError, 401)
    assert "the token of HF_TOKEN was not accepted" in str(translate(wrong, ASKED))
    for status, said in (
        (401, "(HF_TOKEN) was not accepted by"),
        (403, "(HF_TOKEN) may not read ann/net"),
    ):
        assert said in str(translate(answer(hub.HfHubHTTPError, status), ASKED))
        elsewhere = Subject(repo="resnet18", file="w.pth", host="x.org", ways="the ways on")
        told = failures.status_error(status, "", elsewhere)
        assert (str(told), told.hint) == (f"x.org refuses w.pth: HTTP {status}", "the ways on")


def test_a_token_that_an_overlays_hub_does_not_get_is_named(monkeypatch, tmp_path):
    monkeypatch.setenv("HF_TOKEN", "hf_x")
    monkeypatch.delenv("HF_ENDPOINT")
    (tmp_path / "registry.toml").write_text("schema = 1\n[hub]\nendpoint = 'https://in.example'\n")
    registry.load.cache_clear()
    try:
        for error in (
            answer(hub.RepositoryNotFoundError, 401), answer(hub.RepositoryNotFoundError, 404),
            answer(hub.HfHubHTTPError, 401), answer(hub.HfHubHTTPError, 403),
            hub.LocalTokenNotFoundError("x"),
        ):  # fmt: skip
            told = translate(error, ASKED)
            held = "the token of HF_TOKEN is not sent to https://in.example, which an overlay names"
            assert str(told).endswith(held)
            assert "HF_ENDPOINT=https://in.example zoo ... sends it" in told.hint
    finally:
        registry.load.cache_clear()
