"""The Hub from Python: publish a run, use it by its address, and get the same numbers."""

import pytest
import torch
from loopback_weights import built, ours

import zoo
from zoo.errors import HubError, VerificationError


@pytest.fixture
def online(here, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", here.store.token("ann"))
    return here


def test_push_pull_create_and_load(online, tmp_path):
    folder = tmp_path / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(ours())
    done = zoo.push("one", "ann/net", licence="mit", private=True)
    assert done.changed
    assert not zoo.push(folder, "ann/net").changed
    got = zoo.pull(f"hub:ann/net@{done.commit}")
    assert (got.revision, got.model, got.licence) == (done.commit, "squeezenet1_1", "mit")
    image = torch.rand(1, 3, 64, 64)
    expected = built()(image)
    for model in (zoo.create_model("hub:ann/net"), zoo.load("hub:ann/net").model):
        assert torch.equal(model(image), expected)
    with pytest.raises(VerificationError):
        zoo.pull("hub:ann/net", locked=True)


def test_no_token(here):
    with pytest.raises(HubError, match="not logged in"):
        zoo.push("one", "ann/net")
