"""Where the token comes from, and whether it is sent."""

import pytest

from zoo.hub.tokens import held_token, token_origin


@pytest.fixture(autouse=True)
def clean(here, monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "https://hub.example")


def test_where_the_token_comes_from(monkeypatch, tmp_path):
    from huggingface_hub import constants

    assert token_origin() == ""
    path = tmp_path / "hf" / "token"
    path.parent.mkdir()
    path.write_text("hf_stored")
    assert token_origin() == str(path)
    monkeypatch.setenv("HF_TOKEN", "hf_env")
    assert token_origin() == "HF_TOKEN"
    monkeypatch.setattr(constants, "HF_HUB_DISABLE_IMPLICIT_TOKEN", True)
    assert token_origin() == ""


def test_a_token_is_held_back_where_only_an_overlay_names_the_hub(monkeypatch, tmp_path, fresh):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HF_ENDPOINT", raising=False)
    monkeypatch.setenv("HF_TOKEN", "hf_env")
    assert (token_origin(), held_token()) == ("HF_TOKEN", "")
    overlay = "schema = 1\n[hub]\nendpoint = 'https://other.example/'\n"
    (tmp_path / "registry.toml").write_text(overlay)
    fresh.cache_clear()
    assert (token_origin(), held_token()) == ("", "HF_TOKEN")
