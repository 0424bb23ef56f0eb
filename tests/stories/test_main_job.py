"""``zoo finetune resnet18 --freeze-upto layer3 --classes 300``, typed in an empty folder."""

import json
import os
import time
from pathlib import Path

import forked
import pytest
import torch
from safetensors.torch import load_file
from starts import overlay, pictures, random_weights

LINE = ("finetune", "resnet18", "--freeze-upto", "layer3", "--classes", "300")
FROZEN = (
    "frozen stem layer1 layer2 layer3 | 2,782,784 params, 15 BN (eval) "
    "|| trainable layer4 fc | 8,547,628"
)


def typed(*args, cwd, **env):
    """Run the command line as a person would, in a process of its own."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("ZOO_", "HF_"))}
    began = time.monotonic()
    env = {**kept, "ZOO_CACHE": str(cwd / ".." / "cache"), **env}
    done = forked.run(["-m", "zoo", *map(str, args)], cwd=cwd, env=env, timeout=280)
    done.seconds = time.monotonic() - began
    return done


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """Weights for ImageNet's 1000 classes, as far as names and shapes go."""
    return random_weights(tmp_path_factory.mktemp("weights") / "resnet18.safetensors")


@pytest.fixture
def registry_file(weights, tmp_path):
    return str(overlay(tmp_path / "overlay.toml", weights))


@pytest.fixture
def empty(tmp_path):
    folder = tmp_path / "empty"
    folder.mkdir()
    return folder


def test_dry_run_says_everything_without_torch_and_makes_nothing(empty):
    done = typed(*LINE, "--dry-run", cwd=empty)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "head fc for 300 classes" in done.stdout
    assert "up to and including layer3" in done.stdout
    assert "demo: 300 classes, 1,200 training and 300 validation images" in done.stdout
    assert "3 x 224 x 224" in done.stdout
    assert "--data FOLDER for your own" in done.stdout
    assert list(empty.iterdir()) == []


def test_the_whole_plan_at_full_size(empty, registry_file):
    done = typed(*LINE, "--dry-run=full", cwd=empty, ZOO_REGISTRY=registry_file)
    assert done.returncode == 0, done.stderr
    assert FROZEN in done.stderr
    assert "fc: Linear(512, 1000) -> Linear(512, 300)" in done.stderr
    assert list(empty.iterdir()) == []


@pytest.mark.slow
def test_it_runs_to_its_end_and_says_where_everything_lies(empty, registry_file, weights):
    small = ("--size", "32", "--epochs", "2", "--threads", "1", "--precision", "fp32")
    done = typed(*LINE, *small, cwd=empty, ZOO_REGISTRY=registry_file)
    assert done.returncode == 0, done.stderr
    said = done.stderr
    assert "no --data, and no ./data here: generated demo images of 300 classes" in said
    assert "3 x 32 x 32" in said
    assert FROZEN in said
    assert "epoch 1/2 | train loss" in said
    assert "epoch 2/2 | train loss" in said
    assert "frozen: 45 tensors, 45 BN buffers, unchanged" in done.stdout
    folder = empty / "runs/resnet18-demo-001"
    for name in ("recipe.toml", "model.safetensors", "metrics.jsonl", "result.json", "log.txt"):
        assert (folder / name).is_file(), name
    assert "runs/resnet18-demo-001/model.safetensors" in done.stdout
    assert "zoo predict runs/resnet18-demo-001" in done.stdout
    _check_weights(weights, folder)
    _check_record(folder)


def _check_weights(weights, folder):
    """Frozen tensors are bit for bit those of the start, the others moved."""
    before, after = load_file(weights), load_file(folder / "model.safetensors")
    assert after["fc.weight"].shape == (300, 512)
    for name, tensor in before.items():
        if name.startswith(("conv1", "bn1", "layer1", "layer2", "layer3")):
            assert torch.equal(tensor, after[name]), name
    moved = [n for n in before if n.startswith("layer4") and n.endswith("weight")]
    assert moved
    assert not any(torch.equal(before[n], after[n]) for n in moved)


def _check_record(folder):
    from zoo.core.metadata import read_header

    info = read_header(folder / "model.safetensors").info
    assert info.model == "resnet18"
    assert len(info.classes) == info.num_classes == 300
    assert info.freeze["line"] == FROZEN
    assert info.freeze["trainable_size"] == 8_547_628
    assert info.freeze["proof"]
    assert info.base["source"].startswith("file:")
    assert info.base["sha256"]
    result = json.loads((folder / "result.json").read_text("utf-8"))
    assert result["proof"].endswith("unchanged ✓")
    assert result["metrics"]["n"] == 300


@pytest.mark.parametrize("network", ["switched off", "not there"])
def test_without_reachable_weights_it_ends_within_seconds_and_says_the_ways_on(empty, network):
    if network == "switched off":
        more = {"ZOO_OFFLINE": "1"}
        said = "error: offline mode: resnet18-f37072fd.pth for resnet18 is not in the cache"
    else:
        gone = overlay(empty.parent / "gone.toml", "", source="url:http://127.0.0.1:9/resnet18.pth")
        more = {"ZOO_REGISTRY": str(gone)}
        said = "error: resnet18: cannot reach 127.0.0.1"
    done = typed(*LINE, cwd=empty, **more)
    assert done.returncode == 6, done.stderr
    assert said in done.stderr
    for way in ("--weights none --allow-random-frozen", "--weights file:PATH", "zoo mirror"):
        assert way in done.stderr
    assert done.seconds < 60
    assert not (empty / "runs").exists()


def test_a_folder_with_another_number_of_classes_ends_before_anything_is_fetched(empty):
    pictures(empty / "photos", range(3), 2, size=32)
    done = typed(*LINE, "--data", "photos", cwd=empty, ZOO_OFFLINE="1")
    assert done.returncode == 3, done.stderr
    assert "--classes 300, but 'photos' has 3" in done.stderr
    assert "hint: --classes 3" in done.stderr
    assert not (empty / "runs").exists()
    assert not (empty / ".." / "cache").exists() or not list(
        Path(empty / ".." / "cache").rglob("*.safetensors")
    )


def test_a_folder_called_data_is_taken_and_named(empty, registry_file):
    pictures(empty / "data", range(4), 3, size=32)
    done = typed(
        "finetune", "resnet18", "--freeze-upto", "layer3", "--dry-run",
        cwd=empty, ZOO_REGISTRY=registry_file,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "no --data: using ./data" in done.stdout
    assert "4 classes" in done.stdout
