"""config.json is what timm and transformers make of it, so they read it here."""

import json

import pytest
import torch
from loopback_weights import as_bytes, built
from safetensors.torch import load_file

from zoo.core.metadata import CheckpointInfo, Header, read_header
from zoo.core.specs import InputSpec
from zoo.hub.config import TIMM, make_config, timm_name

LABELS = ("cat", "dog", "emu")
INPUT = InputSpec(size=(3, 64, 64), mean=(0.4,) * 3, std=(0.2,) * 3, resize=73, crop=64)


def info(model="resnet18", **how):
    return CheckpointInfo(model=model, num_classes=3, classes=LABELS, input=INPUT, **how)


@pytest.mark.parametrize("name", sorted(TIMM))
def test_timm_has_the_same_tensors(name, here):
    import timm

    from zoo.core import registry
    from zoo.hub.fit import expected_shapes

    mine = expected_shapes(registry.load(), name, num_classes=3, options={})
    with torch.device("meta"):
        theirs = timm.create_model(name, num_classes=3)
    assert mine == {k: tuple(v.shape) for k, v in theirs.state_dict().items()}
    assert (theirs.pretrained_cfg["first_conv"], theirs.pretrained_cfg["classifier"]) == TIMM[name]


@pytest.fixture
def folder(tmp_path):
    """A repository's files as a push writes them, on disk."""

    def make(name):
        model = built(name, 3)
        (tmp_path / "model.safetensors").write_bytes(as_bytes(model))
        config = make_config(info(name), read_header(tmp_path / "model.safetensors"))
        (tmp_path / "config.json").write_text(json.dumps(config))
        return model, config

    return make, tmp_path


@pytest.mark.parametrize("name", ["resnet18", "densenet121"])
def test_timm_loads_it_with_equal_logits(folder, name):
    import timm

    make, path = folder
    model, _ = make(name)
    image = torch.rand(2, 3, 64, 64)
    theirs = timm.create_model(f"local-dir:{path}", pretrained=True).eval()
    with torch.no_grad():
        assert torch.equal(model(image), theirs(image))
    assert timm.create_model(f"local-dir:{path}", pretrained=True, num_classes=7).num_classes == 7
    headless = timm.create_model(f"local-dir:{path}", pretrained=True, num_classes=0)
    assert headless(image).shape == (2, headless.num_features)


def test_transformers_wraps_it_with_our_labels_and_equal_logits(folder):
    from transformers import AutoImageProcessor, AutoModelForImageClassification

    make, path = folder
    model, _ = make("resnet18")
    theirs = AutoModelForImageClassification.from_pretrained(path).eval()
    assert theirs.config.id2label == dict(enumerate(LABELS))
    image = torch.rand(2, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(model(image), theirs(image).logits, atol=1e-6)
    processor = AutoImageProcessor.from_pretrained(path)
    assert tuple(processor.data_config["mean"]) == (0.4,) * 3


def test_plain_safetensors_loads_it(folder):
    make, path = folder
    model, config = make("resnet18")
    other = built("resnet18", 3, seed=1)
    other.load_state_dict(load_file(path / "model.safetensors"))
    image = torch.rand(1, 3, 64, 64)
    assert torch.equal(model(image), other(image))
    assert config["num_features"] == 512
    assert config["label_names"] == list(LABELS)


@pytest.mark.parametrize(
    "given",
    [
        info("squeezenet1_1"),
        info("tutorials/lenet"),
        info("resnet18", surgery={"project": [400]}),
        info("resnet18", options={"width": 2}),
        CheckpointInfo(model="resnet18", num_classes=3, input=InputSpec(size=(1, 28, 28))),
        CheckpointInfo(model="resnet18"),
    ],
)
def test_no_timm_name_leaves_the_architecture_out(given):
    assert timm_name(given) == ""
    assert "architecture" not in make_config(given, Header({}, {}))


def test_names_of_the_timm_plugin_are_timms():
    assert timm_name(info("timm/vit_tiny_patch16_224")) == "vit_tiny_patch16_224"
    config = make_config(info("timm/vit_tiny_patch16_224"), Header({}, {}))
    assert config["architecture"] == "vit_tiny_patch16_224"
    assert config["zoo"]["model"] == "timm/vit_tiny_patch16_224"


def test_an_architecture_of_one_size_says_so():
    """Else timm builds a ViT for its default size and resizes the embeddings that were trained."""
    fixed = CheckpointInfo(model="timm/test_vit", num_classes=4)
    free = CheckpointInfo(model="timm/test_resnet", num_classes=4)
    header = Header({}, {})
    assert make_config(fixed, header)["pretrained_cfg"]["fixed_input_size"] is True
    assert "fixed_input_size" not in make_config(free, header)["pretrained_cfg"]
    gone = CheckpointInfo(model="timm/no_longer_there", num_classes=4)
    assert make_config(gone, header)["architecture"] == "no_longer_there"
