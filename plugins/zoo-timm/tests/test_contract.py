"""Everything that zoo asks, of small members of each kind; and a CNN, a ViT and a hybrid at work."""

from __future__ import annotations

import pytest
import timm
import torch
from safetensors.torch import load_file, save_file

import zoo.api
from zoo.core import registry
from zoo.testing import plugin_contract

# Small members of three kinds: convolutional, transformer, both.
test_contract = plugin_contract("timm", parts=("test_efficientnet", "test_convnext"))
# These are exported below, trained: that takes half a minute, and is the same question.
test_contract_but_exports = plugin_contract(
    "timm", parts=("test_resnet", "test_vit", "test_coatnet"), exports=()
)


SHORT = {
    "data.source": "demo",
    "data.options": {"per_class": 6},
    "data.workers": 0,
    "data.batch_size": 8,
    "device.threads": 1,
}
KINDS = {"test_resnet": "layer2", "test_vit": "block1", "test_coatnet": "stage1"}


def finetune(name, folder, **options):
    extra = options.pop("set", {})
    settings = {"freeze.allow_random_frozen": True, "output.dir": str(folder), **SHORT, **extra}
    return zoo.finetune(f"timm/{name}", classes=4, epochs=1, set=settings, **options)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A CNN, a ViT and a hybrid, each frozen up to a stage in its middle."""
    folder = tmp_path_factory.mktemp("runs")
    return {
        name: finetune(name, folder, weights="none", freeze_upto=target)
        for name, target in KINDS.items()
    }


@pytest.mark.parametrize("name", list(KINDS))
def test_a_cnn_a_vit_and_a_hybrid_fine_tune_frozen_and_export(name, runs, tmp_path):
    assert "unchanged" in runs[name].proof
    for form in ("torch-export", "onnx"):
        result = zoo.api.export(runs[name].dir, format=form, out=tmp_path, check=4)
        assert result.agreement is not None
        assert result.agreement.share == 1


LOAD = """
import sys, timm, torch, zoo
from zoo import api
for name, run in zip(sys.argv[1::2], sys.argv[2::2]):
    repo = f"ann/{name.replace('_', '-')}"
    theirs = timm.create_model(f"hf-hub:{repo}", pretrained=True).eval()
    ours, kept = zoo.load(f"hub:{repo}"), zoo.load(run)
    size = theirs.pretrained_cfg["input_size"]
    images = torch.rand(2, *size, generator=torch.Generator().manual_seed(0))
    with torch.inference_mode():
        expected = kept.model.eval()(images)
        assert torch.equal(ours.model.eval()(images), expected), name
        assert torch.allclose(theirs(images), expected, atol=1e-5), name
    assert ours.classes == kept.classes and len(kept.classes) == 4
    print(name)
"""


@pytest.mark.slow
def test_they_are_pushed_and_timm_and_zoo_take_them_from_the_hub(runs, home):
    home.environment["HF_TOKEN"] = home.hub.store.token("ann")
    for name, run in runs.items():
        repo = f"ann/{name.replace('_', '-')}"
        done = home.zoo("push", str(run.dir), repo, "--licence", "mit")
        assert done.code == 0, done.err
        assert home.hub.store.read(repo, "config.json").count(name.encode()) >= 1
    done = home.run("-c", LOAD, *(str(x) for n, r in runs.items() for x in (n, r.dir)))
    assert done.code == 0, done.err
    assert done.out.split() == list(runs)


def test_both_heads_of_a_distilled_model_are_changed(tmp_path):
    run = finetune(
        "deit_tiny_distilled_patch16_224",
        tmp_path,
        weights=weights_of("deit_tiny_distilled_patch16_224", tmp_path, img_size=32),
        set={"data.size": 32, "model.options": {"img_size": 32}},
        freeze_upto="block10",
    )
    model = zoo.api.load(run.dir).model
    assert (model.head.out_features, model.head_dist.out_features) == (4, 4)
    assert "unchanged" in run.proof


def test_a_model_that_gives_features_takes_a_head(tmp_path):
    name = "eva02_tiny_patch14_224"
    start = weights_of(name, tmp_path, img_size=28)
    run = finetune(
        name,
        tmp_path,
        weights=start,
        set={"data.size": 28, "model.options": {"img_size": 28}},
        freeze_upto="block10",
    )
    model = zoo.api.load(run.dir).model
    assert model.head.out_features == 4
    key = "blocks.3.attn.proj.weight"
    assert torch.equal(model.state_dict()[key], load_file(start.removeprefix("file:"))[key])


def weights_of(name, folder, **options):
    """A file with the tensors of a model of timm's, as if it had been downloaded."""
    model = timm.create_model(name, **options)
    path = folder / f"{name}.safetensors"
    save_file({key: value.contiguous() for key, value in model.state_dict().items()}, path)
    return f"file:{path}"


def test_an_unknown_architecture_is_named():
    import zoo_timm.models

    with pytest.raises(AttributeError, match="no architecture 'resnet17'"):
        zoo_timm.models.resnet17  # noqa: B018 - looking it up is the point


def test_options_of_timm_are_passed_on():
    build = registry.load().build
    model = build("model", "timm/test_vit", num_classes=3, in_channels=1, drop_path_rate=0.1)
    size = model.pretrained_cfg["input_size"][1]
    assert model.eval()(torch.zeros(2, 1, size, size)).shape == (2, 3)
