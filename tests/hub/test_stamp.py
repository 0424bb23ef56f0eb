from dataclasses import replace

import torch
from loopback_weights import as_bytes
from safetensors.torch import load_file

from zoo.core.metadata import CheckpointInfo, read_header
from zoo.engine.saving import tensorfile
from zoo.engine.saving.checkpoint import load_weights, save_weights
from zoo.hub.stamp import is_public, public, restamp, states_itself, without_paths

INFO = CheckpointInfo(
    model="resnet18",
    recipe={"data": {"source": "/home/ann/secret/pets", "val": None}, "model": {"weights": "file:/x/y.safetensors"}},
    data={"name": "pets", "notes": ["in /home/ann"], "root": "/home"},
    base={"source": "file:/home/ann/w.safetensors"},
)  # fmt: skip


def test_local_paths_are_cut_to_their_last_part():
    table = {
        "a": "/home/ann/pets", "b": ["~/x/y", "../z/", "C:\\data\\cats"], "c": "file:/x/y.pth",
        "d": "hub:ann/net", "e": "resnet18", "f": 1, "g": "https://x.org/a?sig=b", "h": "data/pets",
        "i": "file:///home/ann/w",
    }  # fmt: skip
    assert without_paths(table) == {
        "a": "pets", "b": ["y", "z", "cats"], "c": "file:y.pth",
        "d": "hub:ann/net", "e": "resnet18", "f": 1, "g": "https://x.org/a", "h": "data/pets",
        "i": "file:w",
    }  # fmt: skip


def test_what_concerns_only_this_machine_goes():
    made = public(INFO)
    assert "/home" not in repr(made)
    assert made.data == {"name": "pets"}
    assert not is_public(INFO)
    assert is_public(made)


def test_the_address_of_a_hub_is_published_only_if_it_is_the_public_one():
    for hub in ("https://inside.example", "http://ann:secret@10.0.0.1"):
        base = {"source": "hub:ann/net", "endpoint": hub}
        assert public(replace(INFO, base=base)).base == {"source": "hub:ann/net"}
    base = {"source": "hub:ann/net", "endpoint": "https://huggingface.co"}
    assert public(replace(INFO, base=base)).base == base


def test_the_copy_is_whole_and_states_its_own_digest(tmp_path):
    tensors = {"a": torch.rand(3, 4), "b": torch.arange(5)}
    save_weights(tmp_path / "old.safetensors", tensors, INFO)
    digest = restamp(tmp_path / "old.safetensors", tmp_path / "new.safetensors", public(INFO))
    header = tensorfile.verify(tmp_path / "new.safetensors")
    assert tensorfile.stored_digest(header) == digest
    found, info = load_weights(tmp_path / "new.safetensors")
    assert info == public(INFO)
    assert all(torch.equal(found[name], value) for name, value in tensors.items())
    assert b"/home/ann" not in (tmp_path / "new.safetensors").read_bytes()
    again = restamp(tmp_path / "old.safetensors", tmp_path / "new2.safetensors", public(INFO))
    assert again == digest


def test_a_file_without_a_digest_gets_one(tmp_path):
    from safetensors.torch import save_file

    from zoo.core.metadata import dumps

    save_file({"a": torch.ones(2)}, tmp_path / "x.safetensors", {"zoo": dumps(INFO)})
    restamp(tmp_path / "x.safetensors", tmp_path / "y.safetensors", public(INFO))
    assert tensorfile.verify(tmp_path / "y.safetensors").info.model == "resnet18"
    assert torch.equal(load_file(tmp_path / "y.safetensors")["a"], torch.ones(2))
    assert read_header(tmp_path / "y.safetensors").tensors["a"] == ("F32", (2,))


def test_a_file_is_checked_against_what_it_states(tmp_path):
    path, other = tmp_path / "x.safetensors", tmp_path / "y.safetensors"
    save_weights(path, {"a": torch.rand(100)}, INFO)
    assert states_itself(path)
    whole = path.read_bytes()
    for at in (-1, whole.index(b"resnet18"), whole.index(b'"sha256":"') + 12):
        data = bytearray(whole)
        data[at] ^= 1
        other.write_bytes(data)
        assert not states_itself(other)
    other.write_bytes(whole.replace(b'"sha256":"', b'"shaxxx":"'))
    assert states_itself(other) is False
    other.write_bytes(as_bytes({"a": torch.ones(1)}))
    assert states_itself(other) is None
