"""Layouts are told from files that timm, transformers and huggingface_hub wrote themselves."""

import json

import pytest
import torch
from loopback_weights import as_bytes, built, ours

from zoo.core.metadata import Header, read_header
from zoo.errors import CheckpointError
from zoo.hub.layouts import read_layout, rename_resnet


def header(data: bytes, tmp_path) -> Header:
    path = tmp_path / "x.safetensors"
    path.write_bytes(data)
    return read_header(path)


EMPTY = Header({}, {})


def test_ours(tmp_path):
    layout = read_layout({"architecture": "other"}, header(ours(), tmp_path))
    assert (layout.kind, layout.architecture, layout.num_classes) == ("zoo", "squeezenet1_1", 7)
    assert layout.classes[3] == "class 3"
    assert layout.input.mean == (0.5, 0.5, 0.5)
    assert layout.info.model == "squeezenet1_1"


def test_timm_as_timm_writes_it(tmp_path):
    import timm
    from timm.models import save_for_hf

    model = timm.create_model("resnet18", num_classes=4)
    config = {"label_names": ["a", "b", "c", "d"]}
    save_for_hf(model, tmp_path, model_config=config, safe_serialization=True)
    config = json.loads((tmp_path / "config.json").read_text())
    layout = read_layout(config, read_header(tmp_path / "model.safetensors"))
    assert (layout.kind, layout.architecture, layout.num_classes) == ("timm", "resnet18", 4)
    assert layout.classes == ("a", "b", "c", "d")
    cfg = model.pretrained_cfg
    assert layout.input.interpolation == cfg["interpolation"]
    assert layout.input.mean == tuple(cfg["mean"])
    assert layout.rename == {}


def test_timm_of_old_with_its_keys_at_the_top():
    config = {
        "architecture": "resnet18", "num_classes": 2, "labels": ["x", "y"],
        "input_size": [3, 160, 160], "crop_pct": 1.0, "interpolation": "bilinear",
    }  # fmt: skip
    layout = read_layout(config, EMPTY)
    assert layout.classes == ("x", "y")
    assert (layout.input.size, layout.input.resize) == ((3, 160, 160), 160)


@pytest.mark.parametrize(
    ("names", "count", "expected"),
    [
        ({"0": "a", "1": "b"}, 2, ("a", "b")),
        ({"0": "a", "2": "b"}, 2, ()),
        ({"0": "a"}, 2, ()),
        (None, 2, ()),
        ("ab", 2, ()),
    ],
)
def test_labels_with_gaps_are_no_labels(names, count, expected):
    config = {"architecture": "m", "num_classes": count, "label_names": names}
    assert read_layout(config, EMPTY).classes == expected


def test_synsets_are_told_in_words_where_they_differ():
    config = {"architecture": "m", "label_names": ["n1", "n2"]}
    words = {"n1": "tench", "n2": "goldfish"}
    assert read_layout({**config, "label_descriptions": words}, EMPTY).classes == (
        "tench",
        "goldfish",
    )
    same = {"n1": "crane", "n2": "crane"}
    assert read_layout({**config, "label_descriptions": same}, EMPTY).classes == ("n1", "n2")


@pytest.mark.parametrize(
    ("kind", "depths", "sizes", "name"),
    [
        ("basic", [2, 2, 2, 2], [64, 128, 256, 512], "resnet18"),
        ("bottleneck", [3, 4, 6, 3], [256, 512, 1024, 2048], "resnet50"),
    ],
)
def test_a_transformers_resnet_is_a_renamed_torchvision_one(tmp_path, kind, depths, sizes, name):
    from transformers import ResNetConfig, ResNetForImageClassification

    torch.manual_seed(0)
    config = ResNetConfig(
        layer_type=kind, depths=depths, hidden_sizes=sizes,
        id2label={0: "cat", 1: "dog", 2: "emu"}, label2id={"cat": 0, "dog": 1, "emu": 2},
    )  # fmt: skip
    theirs = ResNetForImageClassification(config).eval()
    theirs.save_pretrained(tmp_path)
    layout = read_layout(
        json.loads((tmp_path / "config.json").read_text()),
        read_header(tmp_path / "model.safetensors"),
        processor={
            "size": {"shortest_edge": 224},
            "crop_pct": 0.875,
            "image_mean": [0.5, 0.5, 0.5],
        },
    )
    assert (layout.kind, layout.architecture, layout.num_classes) == ("transformers", name, 3)
    assert layout.classes == ("cat", "dog", "emu")
    assert layout.input.resize == 256
    state = {layout.rename[k]: v for k, v in theirs.state_dict().items()}
    mine = built(name, 3)
    mine.load_state_dict(state)
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(mine(image), theirs(image).logits, atol=1e-5)


def test_other_transformers_resnets_are_refused():
    config = {"model_type": "resnet", "layer_type": "basic", "depths": [1, 1, 1, 1]}
    with pytest.raises(CheckpointError, match="is not one of torchvision's"):
        read_layout(config, EMPTY)
    base = {"model_type": "resnet", "layer_type": "bottleneck", "depths": [3, 4, 6, 3]}
    assert read_layout(base, EMPTY).architecture == "resnet50"
    with pytest.raises(CheckpointError):
        read_layout({**base, "downsample_in_bottleneck": True}, EMPTY)


def test_other_transformers_models_keep_their_name_and_generic_labels_are_none():
    config = {"model_type": "vit", "id2label": {"0": "LABEL_0", "1": "LABEL_1"}}
    layout = read_layout(config, EMPTY)
    assert (layout.architecture, layout.classes, layout.num_classes) == ("vit", (), 2)


def test_a_timm_wrapper_loses_its_prefix():
    config = {"model_type": "timm_wrapper", "architecture": "resnet18", "pretrained_cfg": {}}
    tensors = {"timm_model.fc.weight": ("F32", (2, 512)), "timm_model.fc.bias": ("F32", (2,))}
    layout = read_layout(config, Header(tensors, {}))
    assert layout.kind == "timm"
    assert layout.rename["timm_model.fc.weight"] == "fc.weight"


def test_the_mixin_as_the_client_writes_it(tmp_path):
    from huggingface_hub import PyTorchModelHubMixin

    class Net(torch.nn.Module, PyTorchModelHubMixin):
        def __init__(self, width: int = 4):
            super().__init__()
            self.fc = torch.nn.Linear(width, 2)

    Net(width=8).save_pretrained(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    found = read_header(tmp_path / "model.safetensors")
    layout = read_layout(config, found, tags=["pytorch_model_hub_mixin"])
    assert (layout.kind, layout.architecture, layout.options) == ("mixin", "", {"width": 8})


def test_a_lone_file_and_tied_tensors(tmp_path):
    assert read_layout(None, header(as_bytes(built()), tmp_path)).kind == "plain"
    tied = header(as_bytes({"0.weight": torch.ones(1)}, **{"1.weight": "0.weight"}), tmp_path)
    assert read_layout(None, tied).tied == {"1.weight": "0.weight"}


def test_names_that_are_not_a_resnets_are_left_out():
    assert rename_resnet(["vit.x", "classifier.1.bias"]) == {"classifier.1.bias": "fc.bias"}
