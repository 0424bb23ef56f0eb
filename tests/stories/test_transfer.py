"""What a network learned on some classes helps it with others: measured, not believed."""

import json

import pytest
import torch
from safetensors.torch import load_file
from starts import QUICK, pictures

pytestmark = pytest.mark.slow

COMMON = (
    "--size",
    "48",
    "--optimizer",
    "adamw",
    "--lr",
    "0.001",
    "--transform",
    "standard",
    *QUICK,
)
NEW = ("--data", "new", "--epochs", "4", "--batch-size", "10", *COMMON)


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """A network trained on 16 classes, then twice the same budget on ten others.

    Once from what it learned, frozen up to layer3; once from nothing.
    """
    from zoo.cli.main import run

    home = tmp_path_factory.mktemp("transfer")
    pictures(home / "old", range(16), 15, size=56)
    pictures(home / "new" / "train", range(24, 34), 5, size=56)
    pictures(home / "new" / "val", range(24, 34), 10, size=56, first=50)
    old = ("--data", "old", "--epochs", "4", "--batch-size", "12", *COMMON)
    weights = "file:runs/old/model.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        assert run(["train", "resnet18", "--name", "old", *old]) == 0
        frozen = ("--weights", weights, "--freeze-upto", "layer3")
        assert run(["finetune", "resnet18", "--name", "warm", *frozen, *NEW]) == 0
        assert run(["finetune", "resnet18", "--name", "cold", "--weights", "none", *NEW]) == 0
    return home


def result(home, name):
    return json.loads((home / "runs" / name / "result.json").read_text("utf-8"))


def test_it_beats_the_same_budget_from_nothing_by_far(story):
    warm, cold = (result(story, name)["metrics"] for name in ("warm", "cold"))
    assert warm["n"] == cold["n"] == 100
    assert warm["top1"] >= 0.65
    assert warm["top1"] >= cold["top1"] + 0.2
    assert warm["loss"] < cold["loss"]


def test_both_took_as_many_steps(story):
    warm, cold = result(story, "warm"), result(story, "cold")
    assert warm["step"] == cold["step"] == 20
    assert warm["epochs"] == cold["epochs"] == 4


def test_what_was_frozen_is_what_was_learned_and_the_head_is_new(story):
    old = load_file(story / "runs/old/model.safetensors")
    warm = load_file(story / "runs/warm/model.safetensors")
    assert old["fc.weight"].shape == (16, 512)
    assert warm["fc.weight"].shape == (10, 512)
    for name, tensor in old.items():
        if name.split(".")[0] in ("conv1", "bn1", "layer1", "layer2", "layer3"):
            assert torch.equal(tensor, warm[name]), name
    assert not torch.equal(old["layer4.1.conv2.weight"], warm["layer4.1.conv2.weight"])
    assert "unchanged" in result(story, "warm")["proof"]


def test_the_new_run_remembers_where_it_began(story):
    import zoo
    from zoo.hub.files import sha256_file

    info = zoo.load(story / "runs/warm").info
    assert info.base["run"] == "old"
    assert info.base["sha256"] == sha256_file(story / "runs/old/model.safetensors")
    assert len(info.classes) == 10


def test_the_network_names_images_it_has_never_seen(story, zoo, monkeypatch):
    monkeypatch.chdir(story)
    code, out, err = zoo("predict", "warm", "new/val", "--device", "cpu", "--json")
    assert code == 0, err
    found = json.loads(out)
    assert len(found) == 100
    right = sum(one["top"][0][0] == one["actual"] for one in found)
    assert right / 100 == pytest.approx(result(story, "warm")["metrics"]["top1"], abs=0.011)


def test_two_runs_are_explained_by_what_differs(story, zoo, monkeypatch):
    monkeypatch.chdir(story)
    code, out, _ = zoo("diff", "warm", "cold", "--json")
    found = json.loads(out)
    assert code == 0
    assert found["model.weights"] == ["file:runs/old/model.safetensors", "none"]
    assert found["freeze.upto"][0] == "layer3"
    assert "optim.lr" not in found
    assert set(found) <= {"model.weights", "freeze.upto", "output.name", "result.best"}
