"""Which file holds a repository's weights, and how it becomes one file here."""

import pytest
from loopback_weights import as_bytes, blob, built, repository

from zoo.errors import CheckpointError, HubError
from zoo.hub.address import Address
from zoo.hub.repo import open_repo
from zoo.hub.weights import pull_weights, weights_file

NET = Address("ann/net")
WEIGHTS = blob(300_000)


def test_which_file_holds_the_weights(here):
    repository(here, "ann/net", {"one.safetensors": WEIGHTS, "README.md": "x"})
    repo = open_repo(NET)
    assert weights_file(repo) == "one.safetensors"
    assert weights_file(repo, "other.safetensors") == "other.safetensors"
    here.store.commit("ann/net", {"two.safetensors": WEIGHTS})
    with pytest.raises(HubError, match=r"several weight files: one.safetensors, two.safetensors"):
        weights_file(open_repo(NET))
    here.store.commit("ann/net", {"one.safetensors": None, "two.safetensors": None})
    with pytest.raises(HubError, match="no weights"):
        weights_file(open_repo(NET))


def test_a_pickle_is_refused_then_converted_once(here, tmp_path):
    import torch

    torch.save(built().state_dict(), tmp_path / "m.bin")
    repository(here, "ann/net", {"pytorch_model.bin": (tmp_path / "m.bin").read_bytes()})
    repo = open_repo(NET)
    with pytest.raises(HubError, match="only a pickle") as error:
        pull_weights(repo)
    assert "--allow-pickle" in error.value.hint
    with pytest.raises(HubError, match="is a pickle"):
        pull_weights(repo, "pytorch_model.bin")
    assert not here.asked("/lfs/")
    pulled = pull_weights(repo, allow_pickle=True)
    assert pulled.path.suffix == ".safetensors"
    assert pulled.origin_sha256 == repo.files["pytorch_model.bin"].digest
    assert pull_weights(repo).sha256 == pulled.sha256  # it was allowed once, and converted


def test_a_safetensors_beside_a_pickle_is_the_only_thing_fetched(here):
    files = {"model.safetensors": as_bytes(built()), "pytorch_model.bin": b"\x80\x02evil"}
    repository(here, "ann/net", files)
    pulled = pull_weights(open_repo(NET), allow_pickle=True)
    assert pulled.file == "model.safetensors"
    assert len(here.asked("/resolve/", "HEAD")) == 1


def test_a_pickle_under_a_safetensors_name(here):
    repository(here, "ann/net", {"model.safetensors": b"PK\x03\x04" + b"x" * 200})
    with pytest.raises(CheckpointError, match="is a pickle"):
        pull_weights(open_repo(NET))
