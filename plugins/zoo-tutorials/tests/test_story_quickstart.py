"""The quickstart: an mlp on FashionMNIST, SGD 1e-3, batches of 64, five epochs, one prediction."""

from __future__ import annotations

import json

import pytest
import torch
from published import fashion_mnist
from torchvision.datasets import FashionMNIST
from torchvision.transforms import ToTensor

import zoo.api


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    made = tmp_path_factory.mktemp("data")
    fashion_mnist(made)
    return made


@pytest.fixture(scope="module")
def run(root, tmp_path_factory):
    return zoo.train(
        "tutorials/mlp",
        data="fashion-mnist",
        epochs=5,
        set={
            "data.root": str(root),
            "data.batch_size": 64,
            "data.train_transform": "none",
            "data.workers": 0,
            "device.threads": 1,
            "optim.name": "sgd",
            "optim.lr": 1e-3,
            "optim.options": {"momentum": 0.0},
            "optim.schedule": "constant",
            "optim.warmup": 0,
            "optim.weight_decay": 0.0,
            "output.dir": str(tmp_path_factory.mktemp("runs")),
        },
    )


def test_each_epoch_says_accuracy_and_loss_on_the_test_images(run):
    lines = (run.dir / "metrics.jsonl").read_text("utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["kind"] == "epoch"]
    assert len(rows) == 5
    assert [row["step"] for row in rows] == [10, 20, 30, 40, 50]  # 640 images in batches of 64
    assert {row["val"]["n"] for row in rows} == {100}
    losses = [row["val"]["loss"] for row in rows]
    assert losses == sorted(losses, reverse=True)  # slowly, with a rate this small, but down
    assert all(0 <= row["val"]["top1"] <= 1 for row in rows)
    assert {row["lr"] for row in rows} == {1e-3}


def test_torch_and_torchvision_alone_find_the_same_accuracy_and_loss(run, root):
    loaded = zoo.api.load(run.dir)
    images = FashionMNIST(str(root), train=False, transform=ToTensor())
    batch = torch.stack([images[index][0] for index in range(100)])
    labels = torch.tensor([images[index][1] for index in range(100)])
    with torch.no_grad():
        logits = loaded.model((batch - 0.5) / 0.5)
    loss = torch.nn.functional.cross_entropy(logits, labels).item()
    share = (logits.argmax(1) == labels).float().mean().item()
    assert loss == pytest.approx(run.metrics["loss"], abs=2e-3)  # zoo decided in half precision
    assert share == pytest.approx(run.metrics["top1"], abs=0.011)


def test_a_prediction_is_told_beside_the_truth_by_name(run, root, tmp_path):
    """``Predicted: "Ankle boot", Actual: "Ankle boot"``, after enough epochs to know."""
    trained = zoo.train(
        "tutorials/mlp",
        data="fashion-mnist",
        epochs=3,
        set={
            "data.root": str(root),
            "data.train_transform": "none",
            "data.workers": 0,
            "device.threads": 1,
            "optim.name": "adamw",
            "optim.lr": 1e-3,
            "output.dir": str(tmp_path),
        },
    )
    images = FashionMNIST(str(root), train=False)
    image, label = images[9]
    folder = tmp_path / images.classes[label]
    folder.mkdir()
    image.save(folder / "9.png")
    (found,) = zoo.api.predict(trained.dir, [folder / "9.png"])
    predicted, actual = found.label, found.actual
    assert f'Predicted: "{predicted}", Actual: "{actual}"' == (
        'Predicted: "Ankle boot", Actual: "Ankle boot"'
    )
    assert run.dir != trained.dir
