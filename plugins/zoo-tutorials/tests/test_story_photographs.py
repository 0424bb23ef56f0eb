"""The blitz on CIFAR-10, the practical guide's folder of cats and dogs, and its frozen ResNet."""

from __future__ import annotations

import json

import pytest
import torch
from published import cats_and_dogs, cifar10
from torch import nn
from torchvision import datasets, transforms

import zoo
import zoo.api
from zoo_tutorials.classifiers import lenet

NAMES = ["plane", "car", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
SMALL = {"data.workers": 0, "device.threads": 1, "device.precision": "fp32"}


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    """CIFAR-10's own files; torchvision is told the digests of these instead of the real ones."""
    made = tmp_path_factory.mktemp("data")
    digests = cifar10(made, NAMES)
    with pytest.MonkeyPatch.context() as patch:
        kind = datasets.CIFAR10
        for attribute in ("train_list", "test_list"):
            files = [[name, digests[name]] for name, _ in getattr(kind, attribute)]
            patch.setattr(kind, attribute, files)
        patch.setattr(kind, "meta", {**kind.meta, "md5": digests["batches.meta"]})
        yield made


def test_lenet_on_cifar10_in_batches_of_four(root, tmp_path):
    run = zoo.train(
        "lenet",
        data="cifar10",
        epochs=2,
        set={
            **SMALL,
            "surgery.in_channels": 3,
            "data.root": str(root),
            "data.batch_size": 4,
            "data.train_transform": "none",
            "optim.name": "sgd",
            "optim.lr": 0.001,
            "optim.options": {"momentum": 0.9},
            "optim.schedule": "constant",
            "optim.warmup": 0,
            "output.dir": str(tmp_path),
        },
    )
    rows = [json.loads(line) for line in (run.dir / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows if row["kind"] == "epoch"] == [25, 50]  # 100 images
    loaded = zoo.api.load(run.dir)
    assert loaded.model.conv1.in_channels == 3
    assert loaded.input.mean == loaded.input.std == (0.5, 0.5, 0.5)
    assert list(loaded.classes) == NAMES
    # what the introduction feeds its net: ToTensor, then Normalize with a half everywhere
    look = transforms.Compose([transforms.ToTensor(), transforms.Normalize((0.5,) * 3, (0.5,) * 3)])
    images = datasets.CIFAR10(str(root), train=False, transform=look)
    with torch.no_grad():
        logits = loaded.model(torch.stack([image for image, _ in images]))
    labels = torch.tensor([label for _, label in images])
    assert nn.functional.cross_entropy(logits, labels).item() == pytest.approx(
        run.metrics["loss"], abs=1e-4
    )


def test_catdog_on_a_folder_of_photographs(tmp_path):
    cats_and_dogs(tmp_path / "pets")
    run = zoo.train(
        "tutorials/catdog",
        data=str(tmp_path / "pets"),
        epochs=6,
        set={
            **SMALL,
            "data.batch_size": 8,
            "optim.name": "adamw",
            "optim.lr": 0.003,
            "output.dir": str(tmp_path / "runs"),
        },
    )
    assert list(zoo.api.load(run.dir).classes) == ["cat", "dog"]
    assert run.metrics["n"] == 20
    assert run.metrics["top1"] == 1


def test_resnet18_for_300_classes_frozen_up_to_the_first_block_of_layer3():
    model = zoo.create_model("resnet18", classes=300)
    report = zoo.freeze_upto(model, "layer3.0")
    trainable = sum(p.numel() for p in model.parameters() if p.requires_grad)
    assert trainable == 9_728_300
    assert "layer3.0" in str(report)
    names = {name for name, p in model.named_parameters() if p.requires_grad}
    assert {name.partition(".")[0] for name in names} == {"layer3", "layer4", "fc"}
    assert not any(name.startswith("layer3.0") for name in names)


def test_flags_set_by_hand_and_zoos_cone_freeze_the_same():
    by_hand, by_cone = lenet(), lenet()
    for name, parameter in by_hand.named_parameters():
        parameter.requires_grad = not name.startswith(("conv1", "conv2"))
    zoo.freeze_upto(by_cone, "conv2")
    flags = [parameter.requires_grad for parameter in by_hand.parameters()]
    assert flags == [parameter.requires_grad for parameter in by_cone.parameters()]
