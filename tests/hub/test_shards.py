import hashlib

import pytest
import torch
from loopback_weights import as_bytes, repository
from safetensors.torch import load_file

from zoo.core.metadata import read_header
from zoo.errors import CheckpointError, HubError
from zoo.hub import shards
from zoo.hub.address import Address
from zoo.hub.repo import open_repo
from zoo.hub.weights import pull_weights

A = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.arange(3, dtype=torch.int64)}
B = {"c": torch.ones(5, dtype=torch.bfloat16), "d": torch.tensor(True)}


def test_joining_keeps_every_byte(tmp_path):
    (tmp_path / "1.safetensors").write_bytes(as_bytes(A, one="1"))
    (tmp_path / "2.safetensors").write_bytes(as_bytes(B, two="2"))
    shards.join(
        [tmp_path / "1.safetensors", tmp_path / "2.safetensors"], tmp_path / "x.safetensors"
    )
    found = load_file(tmp_path / "x.safetensors")
    assert all(torch.equal(found[k], v) for k, v in {**A, **B}.items())
    metadata = read_header(tmp_path / "x.safetensors").metadata
    assert metadata == {"format": "pt", "one": "1", "two": "2"}


def test_a_tensor_in_two_shards(tmp_path):
    for name in "12":
        (tmp_path / f"{name}.safetensors").write_bytes(as_bytes(A))
    with pytest.raises(CheckpointError, match="is in two shards"):
        shards.join([tmp_path / "1.safetensors", tmp_path / "2.safetensors"], tmp_path / "x")
    assert not list(tmp_path.glob(".x*"))


@pytest.mark.parametrize(
    "table", [{}, {"a": "../x.safetensors"}, {"a": "/x.safetensors"}, {"a": "x.bin"}]
)
def test_an_index_that_leads_elsewhere(table):
    with pytest.raises(HubError, match="names"):
        shards.shard_names({"weight_map": table}, "index")


@pytest.fixture
def sharded(here):
    index = {"weight_map": {"a": "1.safetensors", "b": "1.safetensors", "c": "2.safetensors"}}
    files = {"1.safetensors": as_bytes(A), "2.safetensors": as_bytes(B)}
    repository(here, "ann/net", {**files, "model.safetensors.index.json": index})
    return here


def test_a_repository_in_shards(sharded):
    pulled = pull_weights(open_repo(Address("ann/net")))
    assert pulled.parts == ("1.safetensors", "2.safetensors")
    assert pulled.sha256 == hashlib.sha256(pulled.path.read_bytes()).hexdigest()
    assert set(load_file(pulled.path)) == set("abcd")
    sharded.seen.clear()
    again = pull_weights(open_repo(Address("ann/net")))
    assert again == pulled
    assert not sharded.asked("/lfs/")


def test_the_joined_header_comes_before_the_files(sharded):
    header = shards.joined_header(open_repo(Address("ann/net")), "model.safetensors.index.json")
    assert set(header.tensors) == set("abcd")
    sharded.store.commit("ann/net", {"2.safetensors": None})
    with pytest.raises(HubError, match=r"shard 2.safetensors is missing"):
        shards.joined_header(open_repo(Address("ann/net")), "model.safetensors.index.json")


def test_a_converted_pickle_has_a_place_of_its_own(here):
    assert (
        shards.converted_path("sub/pytorch_model.bin", "ab" * 32).name
        == "pytorch_model.abababababab.safetensors"
    )
