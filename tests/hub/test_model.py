"""fetch_hub: told what it is, checked, and only then downloaded."""

import json

import pytest
import torch
from loopback_weights import as_bytes, blob, built, ours, repository
from safetensors.torch import load_file

from zoo.core.specs import InputSpec
from zoo.errors import CheckpointError, HubError, UnknownNameError
from zoo.hub.model import fetch_hub

TIMM = {
    "architecture": "resnet18",
    "num_classes": 5,
    "label_names": ["a", "b", "c", "d", "e"],
    "pretrained_cfg": {
        "input_size": [3, 224, 224],
        "crop_pct": 0.95,
        "interpolation": "bicubic",
        "mean": [0.1, 0.2, 0.3],
        "std": [1, 1, 1],
    },
}


def loads(found, model):
    model.load_state_dict(found.named(load_file(found.path)))
    return model


def bodies(hub):
    return [s for s in hub.asked("/lfs/") if s.range != "bytes=0-99999"]


def test_ours(here):
    commit = repository(
        here, "ann/net", {"model.safetensors": ours(), "README.md": "---\nlicense: mit\n---\n"}
    )
    found = fetch_hub(f"hub:ann/net@{commit}")
    assert (found.layout, found.model, found.num_classes) == ("zoo", "squeezenet1_1", 7)
    assert found.labels[0] == "class 0"
    assert found.licence == "mit"
    assert found.notes == ()
    assert found.record() == {
        "source": "hub:ann/net", "file": "model.safetensors", "revision": commit,
        "sha256": found.sha256, "endpoint": here.endpoint, "licence": "mit",
    }  # fmt: skip
    loads(found, built())


def test_timm_weights_go_into_the_built_in_model_with_their_own_preprocessing(here):
    files = {"model.safetensors": as_bytes(built("resnet18", 5)), "config.json": TIMM}
    repository(here, "ann/net", files)
    found = fetch_hub("hub:ann/net")
    assert (found.layout, found.model, found.num_classes) == ("timm", "resnet18", 5)
    assert found.classes == ("a", "b", "c", "d", "e")
    assert found.input == InputSpec(
        mean=(0.1, 0.2, 0.3), std=(1.0, 1.0, 1.0), resize=235, crop=224, interpolation="bicubic"
    )
    assert found.notes == (
        f"ann/net: the default branch may move; it is commit {found.revision[:12]} now",
    )


def test_a_wrong_architecture_is_refused_before_the_download(here):
    files = {"model.safetensors": as_bytes(built("resnet34", 5)), "config.json": TIMM}
    repository(here, "ann/net", files)
    with pytest.raises(CheckpointError, match="hub:ann/net does not fit resnet18: 96 unexpected"):
        fetch_hub("hub:ann/net")
    with pytest.raises(CheckpointError, match="does not fit resnet50"):
        fetch_hub("hub:ann/net", model="resnet50")
    assert fetch_hub("hub:ann/net", model="resnet34").model == "resnet34"
    assert len(bodies(here)) == 1


def test_labels_that_do_not_count_up_are_left_out_and_said(here):
    config = {**TIMM, "label_names": ["a", "b"]}
    files = {"model.safetensors": as_bytes(built("resnet18", 5)), "config.json": config}
    repository(here, "ann/net", files)
    found = fetch_hub("hub:ann/net")
    assert found.classes == ()
    assert "2 labels for 5 outputs: the labels are left out" in found.notes


def test_a_timm_architecture_that_nobody_here_has(here):
    config = {**TIMM, "architecture": "resnet18_of_tomorrow"}
    repository(here, "ann/net", {"model.safetensors": blob(9), "config.json": config})
    with pytest.raises(UnknownNameError, match="timm's resnet18_of_tomorrow, which no plugin here"):
        fetch_hub("hub:ann/net")
    assert not bodies(here)
    found = fetch_hub("hub:ann/net", any_model=True)
    assert found.model == ""
    assert "resnet18_of_tomorrow" in found.notes[-1]


def test_nobody_says_which_model(here):
    repository(here, "ann/net", {"weights.safetensors": as_bytes(built())})
    with pytest.raises(CheckpointError, match="does not say which model it is of") as error:
        fetch_hub("hub:ann/net")
    assert error.value.hint == "zoo finetune MODEL --weights hub:ann/net"
    assert not bodies(here)
    found = fetch_hub("hub:ann/net", model="squeezenet1_1")
    assert (found.layout, found.file, found.num_classes) == ("plain", "weights.safetensors", 7)


def test_a_transformers_model_that_zoo_cannot_build(here):
    files = {"model.safetensors": blob(9), "config.json": {"model_type": "vit"}}
    repository(here, "ann/net", files)
    with pytest.raises(CheckpointError, match="is a transformers vit, which zoo cannot build"):
        fetch_hub("hub:ann/net")


def test_a_transformers_resnet(here, tmp_path):
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(
        layer_type="basic", depths=[2, 2, 2, 2], hidden_sizes=[64, 128, 256, 512], num_labels=3
    )
    theirs = ResNetForImageClassification(config).eval()
    theirs.save_pretrained(tmp_path)
    processor = {
        "size": {"shortest_edge": 224},
        "crop_pct": 0.875,
        "image_mean": [0.4] * 3,
        "image_std": [0.3] * 3,
    }
    repository(
        here,
        "ann/net",
        {
            "model.safetensors": (tmp_path / "model.safetensors").read_bytes(),
            "config.json": json.loads((tmp_path / "config.json").read_text()),
            "preprocessor_config.json": processor,
        },
    )
    found = fetch_hub("hub:ann/net")
    assert (found.model, found.num_classes, found.input.mean) == ("resnet18", 3, (0.4, 0.4, 0.4))
    mine = loads(found, built("resnet18", 3))
    image = torch.rand(1, 3, 64, 64)
    with torch.no_grad():
        assert torch.allclose(mine(image), theirs(image).logits, atol=1e-5)


def test_shards_are_joined_and_checked_before_they_come(here):
    state = built("squeezenet1_1", 7).state_dict()
    names = sorted(state)
    halves = [names[: len(names) // 2], names[len(names) // 2 :]]
    files = {
        f"model-{i}.safetensors": as_bytes({n: state[n] for n in h}) for i, h in enumerate(halves)
    }
    index = {"weight_map": {n: f"model-{i}.safetensors" for i, h in enumerate(halves) for n in h}}
    repository(here, "ann/net", {**files, "model.safetensors.index.json": index})
    with pytest.raises(CheckpointError, match="does not fit resnet18"):
        fetch_hub("hub:ann/net", model="resnet18")
    assert not bodies(here)
    found = fetch_hub("hub:ann/net", model="squeezenet1_1")
    model = loads(found, built(seed=1))
    assert all(torch.equal(v, state[k]) for k, v in model.state_dict().items())


def test_a_pickle_is_checked_after_its_conversion(here, tmp_path):
    torch.save(built("resnet34", 5).state_dict(), tmp_path / "m.bin")
    files = {"pytorch_model.bin": (tmp_path / "m.bin").read_bytes(), "config.json": TIMM}
    repository(here, "ann/net", files)
    with pytest.raises(HubError, match="only a pickle"):
        fetch_hub("hub:ann/net")
    with pytest.raises(CheckpointError, match="does not fit resnet18"):
        fetch_hub("hub:ann/net", allow_pickle=True)


def test_a_pin_holds_the_commit_when_the_tag_moves(here, tmp_path, monkeypatch):
    from zoo.core import registry

    first = repository(here, "ann/net", {"model.safetensors": ours()})
    here.store.tag("ann/net", "v1")
    pinned = fetch_hub("hub:ann/net@v1")
    (tmp_path / "registry.toml").write_text(
        "schema = 1\n[[pin]]\nsource = 'hub:ann/net@v1'\n"
        f"revision = '{first}'\nfile = 'model.safetensors'\nsha256 = '{pinned.sha256}'\n"
    )
    here.store.commit("ann/net", {"model.safetensors": ours(num_classes=9)})
    here.store.tag("ann/net", "v1")
    registry.load.cache_clear()
    try:
        assert fetch_hub("hub:ann/net@v1").revision == first
    finally:
        monkeypatch.chdir("/")
        registry.load.cache_clear()


def test_offline_from_the_cache(here, monkeypatch):
    repository(here, "ann/net", {"model.safetensors": ours(), "config.json": {}})
    online = fetch_hub("hub:ann/net")
    here.seen.clear()
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    offline = fetch_hub("hub:ann/net")
    assert (offline.path, offline.revision) == (online.path, online.revision)
    assert not here.seen
