"""The generated registry against the installed timm."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
import timm

from zoo.core import registry

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


def test_every_classifier_has_a_head_and_most_architectures_verified_stages(stored):
    assert sum("stages" in entry for entry in stored.values()) > 0.9 * len(stored)
    classifiers = [entry for entry in stored.values() if entry.get("classes")]
    assert [entry["name"] for entry in classifiers if "head" not in entry] == []
    features = [entry for entry in stored.values() if not entry.get("classes")]
    assert sum("head" in entry for entry in features) > 0.9 * len(features)


def test_crop_modes_are_carried_over(stored):
    models = {name: entry["input"].get("crop_mode", "center") for name, entry in stored.items()}
    for name, mode in models.items():
        assert mode == timm.get_pretrained_cfg(name).crop_mode, name
    assert set(models.values()) == {"center", "squash", "border"}


def test_rewriting_some_entries_leaves_the_file_as_it_is(stored, tmp_path):
    """The file is what its own script writes: presets, order and form."""
    generator.write(generator.document(generator.renewed(["test_vit"])), tmp_path / "again.json")
    assert (tmp_path / "again.json").read_text("utf-8") == generator.PLACE.read_text("utf-8")


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
