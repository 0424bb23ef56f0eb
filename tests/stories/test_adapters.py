"""A network is adapted by a few numbers a layer; what is published is a network like any other."""

import json

import pytest
import torch
from safetensors.torch import load_file
from starts import QUICK, pictures

pytestmark = pytest.mark.slow

COMMON = ("--size", "48", "--transform", "standard", *QUICK)
ADAPTED = ("--data", "new", "--lora", "4", "--epochs", "3", "--batch-size", "10", *COMMON)


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """A resnet18 that learned eight classes, then adapted to six others, whole and behind layer3."""
    from zoo.cli.main import run

    home = tmp_path_factory.mktemp("adapters")
    pictures(home / "old", range(8), 6, size=56)
    pictures(home / "new", range(24, 30), 8, size=56)
    start = ("--weights", "run:old")
    rate = ("--optimizer", "adamw", "--lr", "0.001")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        old = ("--data", "old", "--epochs", "4", "--batch-size", "12", *COMMON)
        assert run(["train", "resnet18", "--name", "old", *old]) == 0
        assert run(["finetune", "resnet18", "--name", "all", *start, *rate, *ADAPTED]) == 0
        behind = ("--freeze-upto", "layer3", "--ema", "0.5")
        assert (
            run(["finetune", "resnet18", "--name", "last", *start, *rate, *behind, *ADAPTED]) == 0
        )
    return home


def weights(home, name):
    return load_file(home / "runs" / name / "model.safetensors")


def result(home, name):
    return json.loads((home / "runs" / name / "result.json").read_text("utf-8"))


@pytest.mark.parametrize(("name", "adapted"), [("all", 20), ("last", 5)])
def test_what_is_published_differs_from_the_start_by_little(story, name, adapted):
    old, new = weights(story, "old"), weights(story, name)
    assert set(new) == set(old)
    changed = [key for key in old if key.startswith("fc.") or not torch.equal(old[key], new[key])]
    convolutions = [key for key in changed if not key.startswith("fc.")]
    assert len(convolutions) == adapted
    for key in convolutions:
        assert old[key].ndim == 4, key
        values = torch.linalg.svdvals((new[key] - old[key]).double().flatten(1))
        rank = min(4, len(values))
        assert values[0] > 1e-4, key
        assert not values[rank:].numel() or values[rank] < 1e-3 * values[0], key
    if name == "last":
        assert {key.partition(".")[0] for key in convolutions} == {"layer4"}


@pytest.mark.parametrize("name", ["all", "last"])
def test_it_is_judged_as_it_was_trained(story, name, zoo, monkeypatch):
    monkeypatch.chdir(story)
    code, out, err = zoo("eval", name, "--json")
    assert code == 0, err
    found, told = json.loads(out), result(story, name)["metrics"]
    assert found["top1"] == told["top1"]
    assert found["loss"] == pytest.approx(told["loss"], abs=1e-3)


def test_the_weights_themselves_are_proved_unchanged(story):
    import zoo

    assert result(story, "all")["proof"].startswith("frozen: 60 tensors, 60 BN buffers, unchanged")
    info = zoo.load(story / "runs/all").info
    assert info.freeze["adapters"].startswith("LoRA of rank 4 on 20 layers")
    assert "trainable adapters fc" in info.freeze["line"]


def test_it_starts_another_run_as_any_weights_do(story, zoo, monkeypatch):
    monkeypatch.chdir(story)
    again = ("--weights", "run:all", "--dry-run=full")
    code, out, err = zoo("finetune", "resnet18", *again, *ADAPTED)
    assert code == 0, err
    assert "the rest but the head has adapters of rank 4" in out + err
    assert "adapters     LoRA of rank 4 on 20 layers" in out + err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--lora-alpha", "4"), "--lora-alpha scales adapters, and there are none"),
        (("--lora", "4", "--unfreeze-at", "1:layer4"), "no weight joins the training later"),
        (("--lora", "4", "--parallel", "fsdp"), "--lora with --parallel fsdp"),
        (("--lora", "0"), "--lora"),
    ],
)
def test_what_cannot_be_is_said_before_torch_is_imported(words, said, shell):
    done = shell("finetune", "resnet18", *words, PYTHONWARNINGS="ignore")
    assert done.returncode == 2
    assert said in done.stderr
    assert "Traceback" not in done.stderr
