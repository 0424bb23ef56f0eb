import argparse
import collections

import pytest
import torch
from loopback_weights import built
from safetensors.torch import load_file
from torch import nn

from zoo.errors import CheckpointError
from zoo.hub import convert


def save(path, value):
    torch.save(value, path)
    return path


STATE = {"fc.weight": torch.arange(6.0).reshape(2, 3), "fc.bias": torch.zeros(2)}


@pytest.mark.parametrize(
    ("value", "said"),
    [
        (STATE, ()),
        (collections.OrderedDict(STATE), ()),
        ({"state_dict": STATE, "epoch": 3}, ("took 'state_dict', left epoch",)),
        ({"model": STATE, "optimizer": {"lr": 1}}, ("took 'model', left optimizer",)),
        ({"model_state_dict": STATE}, ("took 'model_state_dict'",)),
        ({"module." + k: v for k, v in STATE.items()}, ("took 'module.' off every name",)),
        (
            {"state_dict": {"module._orig_mod." + k: v for k, v in STATE.items()}},
            (
                "took 'state_dict'",
                "took 'module.' off every name",
                "took '_orig_mod.' off every name",
            ),
        ),
        ({**STATE, "note": "hello"}, ("left what is no tensor: note",)),
    ],
)
def test_weights_are_found(tmp_path, value, said):
    found = convert.read_pickle(save(tmp_path / "m.pth", value))
    assert set(found.tensors) == set(STATE)
    assert found.notes == said


def test_a_key_says_where(tmp_path):
    path = save(tmp_path / "m.pth", {"model": STATE, "ema": {"x": torch.ones(1)}})
    assert set(convert.read_pickle(path, key="ema").tensors) == {"x"}
    with pytest.raises(CheckpointError, match="no weights under 'x'") as error:
        convert.read_pickle(path, key="x")
    assert "it has model, ema" in error.value.hint


def test_a_whole_module_is_refused_with_the_way_to_save_it_again(tmp_path):
    with pytest.raises(CheckpointError, match="a whole pickled module") as error:
        convert.read_pickle(save(tmp_path / "m.pth", built()))
    assert "torch.save(model.state_dict(), 'weights.pth')" in error.value.hint


def test_other_objects_are_named(tmp_path):
    path = save(tmp_path / "m.pth", {"state_dict": STATE, "args": argparse.Namespace(lr=1)})
    with pytest.raises(CheckpointError, match=r"besides tensors \(argparse.Namespace\)") as error:
        convert.read_pickle(path)
    assert "checkpoint['state_dict']" in error.value.hint


@pytest.mark.parametrize(
    ("value", "message"),
    [([1, 2], "holds a list"), ({"a": 1}, "no weights that zoo can find"), ({}, "no weights")],
)
def test_no_weights(tmp_path, value, message):
    with pytest.raises(CheckpointError, match=message):
        convert.read_pickle(save(tmp_path / "m.pth", value))


@pytest.mark.parametrize("data", [b"", b"PK\x03\x04 no zip", b"\x80\x02garbage", b"<html>"])
def test_damaged_files(tmp_path, data):
    (tmp_path / "m.pth").write_bytes(data)
    with pytest.raises(CheckpointError):
        convert.read_pickle(tmp_path / "m.pth")


def test_a_gpu_checkpoint_comes_to_the_cpu(tmp_path, monkeypatch):
    seen = {}
    real = torch.load
    monkeypatch.setattr(torch, "load", lambda *a, **k: seen.update(k) or real(*a, **k))
    convert.read_pickle(save(tmp_path / "m.pth", STATE))
    assert seen == {"map_location": "cpu", "weights_only": True}


def test_old_torchvision_names(tmp_path):
    old = {
        "features.denseblock1.denselayer1.norm.1.weight": torch.ones(1),
        "features.denseblock1.denselayer1.conv.2.weight": torch.ones(1),
        "encoder.layers.encoder_layer_0.mlp.linear_1.weight": torch.ones(1),
        "encoder.layers.encoder_layer_0.mlp.linear_2.bias": torch.ones(1),
    }
    assert set(convert.read_pickle(save(tmp_path / "m.pth", old)).tensors) == {
        "features.denseblock1.denselayer1.norm1.weight",
        "features.denseblock1.denselayer1.conv2.weight",
        "encoder.layers.encoder_layer_0.mlp.0.weight",
        "encoder.layers.encoder_layer_0.mlp.3.bias",
    }


def test_shared_and_strided_tensors_are_written_apart(tmp_path):
    base = torch.arange(12.0)
    tensors = {
        "a": base[:6], "b": base[3:9], "c": base.reshape(3, 4).T, "d": base, "e": torch.empty(0),
    }  # fmt: skip
    convert.write_safetensors(tensors, tmp_path / "x.safetensors")
    found = load_file(tmp_path / "x.safetensors")
    assert all(torch.equal(found[name], value) for name, value in tensors.items())
    umask_file = tmp_path / "plain"
    umask_file.touch()
    assert (tmp_path / "x.safetensors").stat().st_mode == umask_file.stat().st_mode


def test_converting_gives_the_same_model(tmp_path):
    model = built()
    convert.convert(save(tmp_path / "m.pth", model.state_dict()), tmp_path / "m.safetensors")
    other = built(seed=1)
    other.load_state_dict(load_file(tmp_path / "m.safetensors"))
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(model(image), other(image))


def test_tied_weights(tmp_path):
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    convert.convert(save(tmp_path / "m.pth", model.state_dict()), tmp_path / "m.safetensors")
    assert len(load_file(tmp_path / "m.safetensors")) == 4
