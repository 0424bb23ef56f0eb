"""Write the pretrained file in the form that a peer takes; not part of what is measured.

``python prepare.py JOB.json``: for torchvision's reference a checkpoint to resume from (its
``--weights`` cannot change the number of classes), for transformers a folder with a config.
"""

from __future__ import annotations

import re

import torch
from job import read_job
from torch import nn
from torchvision.models import resnet18


def for_torchvision(job) -> None:
    """Model with a fresh head, optimizer and schedule of the script's own settings."""
    torch.manual_seed(job.seed)
    model = resnet18()
    model.load_state_dict(torch.load(job.weights, weights_only=True))
    model.fc = nn.Linear(model.fc.in_features, job.classes)
    groups = [{"params": list(model.parameters()), "weight_decay": 1e-4}]
    optimizer = torch.optim.SGD(groups, lr=job.lr, momentum=0.9, weight_decay=1e-4)
    scheduler = torch.optim.lr_scheduler.StepLR(optimizer, step_size=10_000)
    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "lr_scheduler": scheduler.state_dict(),
        "epoch": -1,
    }
    torch.save(state, f"{job.out}/start.pth")


RENAMED = (
    (r"^conv1\.", "resnet.embedder.embedder.convolution."),
    (r"^bn1\.", "resnet.embedder.embedder.normalization."),
    (r"^layer(\d)\.(\d)\.conv(\d)\.", r"resnet.encoder.stages.\1.layers.\2.layer.\3.convolution."),
    (r"^layer(\d)\.(\d)\.bn(\d)\.", r"resnet.encoder.stages.\1.layers.\2.layer.\3.normalization."),
    (r"^layer(\d)\.(\d)\.downsample\.0\.", r"resnet.encoder.stages.\1.layers.\2.shortcut.convolution."),
    (r"^layer(\d)\.(\d)\.downsample\.1\.", r"resnet.encoder.stages.\1.layers.\2.shortcut.normalization."),
    (r"^fc\.", "classifier.1."),
)  # fmt: skip


def renamed(name: str) -> str:
    """A torchvision name as transformers has it; stages and layers count from 0 there."""
    for pattern, replacement in RENAMED:
        if re.match(pattern, name):
            made = re.sub(pattern, replacement, name)
            made = re.sub(r"stages\.(\d)", lambda m: f"stages.{int(m[1]) - 1}", made)
            return re.sub(r"layer\.(\d)", lambda m: f"layer.{int(m[1]) - 1}", made)
    raise ValueError(name)


def for_transformers(job) -> None:
    """A folder as ``save_pretrained`` writes it."""
    from transformers import ResNetConfig, ResNetForImageClassification

    config = ResNetConfig(
        embedding_size=64, hidden_sizes=[64, 128, 256, 512], depths=[2, 2, 2, 2],
        layer_type="basic", num_labels=1000,
    )  # fmt: skip
    model = ResNetForImageClassification(config)
    tensors = torch.load(job.weights, weights_only=True)
    model.load_state_dict({renamed(name): value for name, value in tensors.items()})
    model.save_pretrained(f"{job.out}/pretrained")


if __name__ == "__main__":
    given = read_job()
    {"torchvision": for_torchvision, "transformers": for_transformers}[given.peer](given)
