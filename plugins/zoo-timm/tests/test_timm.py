"""The generated registry against the installed timm, and a CNN, a ViT and a hybrid at work."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import timm
import torch

from zoo.core import registry
from zoo.testing import plugin_contract

HERE = Path(__file__).resolve().parents[1]
spec = importlib.util.spec_from_file_location("write_registry", HERE / "write_registry.py")
assert spec is not None
assert spec.loader is not None
generator = importlib.util.module_from_spec(spec)
spec.loader.exec_module(generator)

# A CNN, a transformer, and hybrids of both; small ones of many families.
SAMPLE = [
    "resnet18",
    "vit_tiny_patch16_224",
    "coatnet_pico_rw_224",
    "convnext_atto",
    "efficientnet_b0",
    "mobilenetv3_small_050",
    "swin_tiny_patch4_window7_224",
    "deit_tiny_distilled_patch16_224",
    "vit_small_patch14_dinov2",
    "levit_128s",
    "regnety_002",
    "densenet121",
    "vgg11",
    "fastvit_t8",
    "test_vit",
]


@pytest.fixture(scope="module")
def stored():
    return generator.stored()


def test_every_architecture_of_timm_is_there(stored):
    assert list(stored) == timm.list_models()
    assert set(registry.load().shelf("model")) >= {f"timm/{name}" for name in stored}


def test_every_weight_is_what_timm_says(stored):
    for name, entry in stored.items():
        expected = generator.weights_of(name, entry.get("classes", 0))
        assert entry.get("weights", []) == expected, name


@pytest.mark.parametrize("name", SAMPLE)
def test_an_entry_written_anew_is_the_stored_one(name, stored):
    assert stored[name] == generator.entry(name)


def test_most_architectures_have_verified_stages_and_a_head(stored):
    staged = sum("stages" in entry for entry in stored.values())
    classifiers = [entry for entry in stored.values() if entry.get("classes")]
    headed = sum("head" in entry for entry in classifiers)
    assert staged > 0.9 * len(stored)
    assert headed > 0.9 * len(classifiers)


def test_weights_lie_on_the_hub_and_invent_nothing(stored):
    weights = [w for entry in stored.values() for w in entry.get("weights", ())]
    assert len(weights) > 1000
    assert all(w["source"].startswith("hub:timm/") for w in weights)
    assert not any("revision" in w or "sha256" in w or "metrics" in w for w in weights)


def test_listing_imports_neither_timm_nor_torch():
    probe = (
        "import sys; from zoo.core import registry; r = registry.load(); "
        "assert len(r.shelf('model')) > 1300; "
        "print([m for m in ('timm', 'torch', 'zoo_timm') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_unknown_architecture_is_named():
    import zoo_timm.models

    with pytest.raises(AttributeError, match="no architecture 'resnet17'"):
        zoo_timm.models.resnet17  # noqa: B018 - looking it up is the point


def test_options_of_timm_are_passed_on():
    build = registry.load().build
    model = build("model", "timm/test_vit", num_classes=3, in_channels=1, drop_path_rate=0.1)
    size = model.pretrained_cfg["input_size"][1]
    assert model.eval()(torch.zeros(2, 1, size, size)).shape == (2, 3)


# Small members of three kinds: convolutional, transformer, both.
test_contract = plugin_contract(
    "timm", parts=("test_resnet", "test_vit", "test_efficientnet", "test_coatnet", "test_convnext")
)


@pytest.mark.parametrize(
    ("name", "target"),
    [("test_resnet", "layer2"), ("test_vit", "block1"), ("test_coatnet", "stage1")],
)
def test_a_cnn_a_vit_and_a_hybrid_fine_tune_frozen_and_export(name, target, tmp_path):
    import zoo.api

    run = zoo.api.finetune(
        f"timm/{name}",
        weights="none",
        classes=4,
        freeze_upto=target,
        epochs=1,
        set={
            "freeze.allow_random_frozen": True,
            "output.dir": str(tmp_path),
            "data.source": "demo",
            "data.options": {"per_class": 8},
            "data.workers": 0,
            "data.batch_size": 8,
        },
    )
    assert "unchanged" in run.proof
    result = zoo.api.export(run.dir, format="torch-export", out=tmp_path, check=4)
    assert result.agreement is not None
    assert result.agreement.share == 1
