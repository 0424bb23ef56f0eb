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
