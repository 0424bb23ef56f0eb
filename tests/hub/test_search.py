import pytest
from loopback_weights import ours, repository

from zoo.errors import HubError
from zoo.hub.search import search

CARD = "---\nlicense: mit\nlibrary_name: {}\npipeline_tag: image-classification\n---\n"


def test_what_zoo_could_load_is_marked(here):
    repository(here, "ann/net", {"model.safetensors": ours(), "README.md": CARD.format("zoo")})
    repository(here, "bob/net", {"pytorch_model.bin": b"x", "README.md": CARD.format("timm")})
    repository(
        here, "eve/net", {"model.safetensors": ours(), "README.md": CARD.format("diffusers")}
    )
    repository(here, "ann/text", {"README.md": "---\npipeline_tag: text-generation\n---\n"})
    found = {item.id: item for item in search("net")}
    assert {name: item.loadable for name, item in found.items()} == {
        "ann/net": True, "bob/net": False, "eve/net": False,
    }  # fmt: skip
    assert (found["ann/net"].licence, found["ann/net"].downloads) == ("mit", 7)
    assert [item.id for item in search("text", task="")] == ["ann/text"]
    assert search("nothing") == []
    assert len(search("net", limit=1)) == 1


def test_without_a_hub(here, monkeypatch):
    here.stop()
    with pytest.raises(HubError, match="cannot reach"):
        search("net")
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    with pytest.raises(HubError, match="offline mode"):
        search("net")
