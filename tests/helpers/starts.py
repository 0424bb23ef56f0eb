"""Where runs of tests start: weights on the disk, a registry that names them, pictures in folders."""

from pathlib import Path

import torch
from PIL import Image
from safetensors.torch import save_file

from zoo.core import registry

QUICK = ("--workers", "0", "--threads", "1", "--precision", "fp32", "--device", "cpu")
"""Flags that make a run small and equal on every machine."""


def random_weights(path, model="resnet18", seed=0, **options):
    """Write a model's random weights as anybody would: plain safetensors, no record of zoo's."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        made = registry.load().build("model", model, **options)
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    save_file(made.state_dict(), path)
    return path


def overlay(path, weights="", *, model="resnet18", source="", classes=1000):
    """Write a registry overlay that makes a file (or ``source``) the default weights of a model."""
    Path(path).write_text(
        f'schema = 1\n[[model]]\nname = "{model}"\n[[model.weights]]\nname = "local"\n'
        f'source = "{source or f"file:{weights}"}"\nclasses = {classes}\n',
        "utf-8",
    )
    return Path(path)


def pictures(root, labels, each, *, size=64, first=0):
    """Write generated pictures as PNG files, one folder per class; gives the class names."""
    from zoo.builtin.demo import render, traits

    names = []
    for label in labels:
        name = "-".join(traits(label))
        names.append(name)
        folder = Path(root) / name
        folder.mkdir(parents=True)
        for number in range(first, first + each):
            image = Image.fromarray(render(label, number, size=size))
            image.save(folder / f"{number:03d}.png", compress_level=1)
    return names
