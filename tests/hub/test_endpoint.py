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
