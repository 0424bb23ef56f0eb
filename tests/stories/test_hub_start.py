"""Training that starts on the Hub, and on a machine without one."""

import pytest
from loopback_weights import as_bytes, built, repository

CONFIG = {
    "architecture": "resnet18",
    "num_classes": 3,
    "label_names": ["cat", "dog", "emu"],
    "pretrained_cfg": {"input_size": [3, 32, 32], "crop_pct": 1.0, "interpolation": "bicubic"},
}


@pytest.mark.slow
def test_no_network_at_all_is_said_before_anything_expensive(home):
    done = home.zoo("finetune", "resnet18", "--classes", "3", env={"HF_ENDPOINT": None})
    assert done.code == 6
    assert "resnet18: cannot reach download.pytorch.org" in done.error
    for way in (
        "--weights none --allow-random-frozen",
        "--weights file:PATH",
        "zoo mirror resnet18",
    ):
        assert way in done.hint
    assert not (home.work / "runs").exists() or not list(
        (home.work / "runs").rglob("*.safetensors")
    )


@pytest.mark.slow
def test_finetune_from_the_hub_and_remember_where_from(hub, home):
    files = {"model.safetensors": as_bytes(built("resnet18", 3)), "config.json": CONFIG}
    commit = repository(hub, "ann/net", files)
    done = home.zoo(
        "finetune", "hub:ann/net", "--classes", "4", "--epochs", "1", "--size", "32",
        "--freeze-upto", "layer3", "--name", "one", "--json", timeout=300,
    )  # fmt: skip
    assert done.code == 0, done.err
    code = (
        "from zoo.core.metadata import read_header; from pathlib import Path; import json;"
        "i = read_header(Path('runs/one/model.safetensors')).info;"
        "print(json.dumps([i.base, i.input.interpolation, i.model]))"
    )
    base, interpolation, model = home.run("-c", code).json()
    assert (base["source"], base["revision"], base["endpoint"]) == (
        "hub:ann/net",
        commit,
        hub.endpoint,
    )
    assert len(base["sha256"]) == 64
    assert (interpolation, model) == ("bicubic", "resnet18")
    hub.seen.clear()
    repeat = home.zoo("--offline", "predict", "hub:ann/net", "missing.jpg")
    assert repeat.code == 3
    assert not hub.seen


@pytest.mark.slow
def test_a_preview_asks_no_hub(hub, home):
    """What the repository says of its input decides the pixels, so it has to be here."""
    files = {"model.safetensors": as_bytes(built("resnet18", 3)), "config.json": CONFIG}
    repository(hub, "ann/net", files)
    line = ("finetune", "hub:ann/net", "--classes", "4", "--preview", "look.png")
    done = home.zoo(*line)
    assert done.code == 6
    assert "a preview downloads nothing" in done.error
    assert not hub.seen
    assert done.hint.endswith("zoo pull hub:ann/net")
    assert home.zoo("pull", "hub:ann/net").code == 0
    hub.seen.clear()
    assert home.zoo(*line).code == 0
    assert not hub.seen
    assert (home.work / "look.png").is_file()
