"""``zoo import`` as it is typed."""

import json

import pytest
import torch
from loopback_weights import built

from zoo.hub.stamp import states_itself


@pytest.fixture
def work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_a_state_dict_becomes_a_checkpoint_of_ours(zoo, work):
    state = {"module." + k: v for k, v in built("squeezenet1_1", 3).state_dict().items()}
    torch.save({"state_dict": state, "epoch": 4}, work / "old.pth")
    (work / "labels.txt").write_text("cat\ndog\nemu\n")
    code, out, err = zoo("import", "old.pth", "--as", "squeezenet1_1", "--labels", "labels.txt")
    assert code == 0, err
    assert out.startswith("old.safetensors  squeezenet1_1, 3 classes, 52 tensors")
    assert "took 'state_dict', left epoch" in err
    assert "took 'module.' off every name" in err
    assert states_itself(work / "old.safetensors")
    argv = ("import", "old.pth", "--as", "squeezenet1_1", "--to", "b.safetensors", "--json")
    assert json.loads(zoo(*argv)[1])["num_classes"] == 3


@pytest.mark.parametrize(
    ("argv", "wanted", "message", "way"),
    [
        (["whole.pth", "--as", "squeezenet1_1"], 5, "a whole pickled module", "model.state_dict()"),
        (["s.pth", "--as", "resnet18"], 5, "s.pth does not fit resnet18", "name the model"),
        (
            ["s.pth", "--as", "squeezenet1_1", "--classes", "9"],
            2,
            "3 outputs, --classes says 9",
            "",
        ),
        (["none.pth", "--as", "squeezenet1_1"], 5, "no file none.pth", ""),
        (["s.pth", "--as", "squeeznet1_1"], 2, "unknown model", "squeezenet1_1"),
        (["s.pth", "--as", "squeezenet1_1", "--model-option", "x"], 2, "is not NAME=VALUE", ""),
    ],
)
def test_refusals(zoo, work, argv, wanted, message, way):
    torch.save(built("squeezenet1_1", 3), work / "whole.pth")
    torch.save(built("squeezenet1_1", 3).state_dict(), work / "s.pth")
    code, _, err = zoo("import", *argv)
    assert (code, message in err, way in err) == (wanted, True, True), err
    assert not list(work.glob("*.safetensors"))
