"""Existing networks changed: a layer added, replaced or inserted, and a new projection on top.

Shapes: N images, K outputs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import nn
from torchvision.models import resnet18, vgg16

from zoo.plugin import UsageError

if TYPE_CHECKING:
    from torchvision.models import ResNet
    from torchvision.models.vgg import VGG

_WIDTH = 4096


def vgg16_changed(num_classes: int = 10, how: str = "replace", hidden: int = 256) -> VGG:
    """VGG16 for other classes, in one of the three ways of the introductions.

    The classifier keeps the names of its layers (``0`` to ``6``), so the weights of the original
    still fit wherever the layer is the same.

    Args:
        num_classes: Outputs K.
        how: ``add`` puts a layer ``added`` behind the 1000 outputs, ``replace`` puts a new last
            layer ``6`` in place, ``insert`` puts layers ``inserted`` and ``relu`` before it.
        hidden: Units of the inserted layer.

    Raises:
        UsageError: ``how`` is something else.
    """
    model: VGG = vgg16(weights=None)
    if how == "add":
        model.classifier.add_module("added", nn.Linear(1000, num_classes))
    elif how == "replace":
        model.classifier[6] = nn.Linear(_WIDTH, num_classes)
    elif how == "insert":
        layers = dict(model.classifier.named_children())
        del layers["6"]
        layers["inserted"] = nn.Linear(_WIDTH, hidden)
        layers["relu"] = nn.ReLU()
        layers["last"] = nn.Linear(hidden, num_classes)
        changed = nn.Sequential()
        for name, layer in layers.items():
            changed.add_module(name, layer)
        model.classifier = changed
    else:
        raise UsageError(f"how={how!r} is not a way of changing VGG16", hint="add, replace, insert")
    return model


def resnet18_projected(num_classes: int = 300, hidden: int = 400) -> ResNet:
    """ResNet-18 without its last layer, then 512 -> hidden -> ReLU -> K.

    The projection takes the place of ``fc``: so the flattening between pooling and ``fc`` stays,
    which ``nn.Sequential(*children)`` would lose.

    Args:
        num_classes: Outputs K.
        hidden: Units between.
    """
    model: ResNet = resnet18(weights=None)
    model.fc = nn.Sequential(
        nn.Linear(model.fc.in_features, hidden), nn.ReLU(), nn.Linear(hidden, num_classes)
    )
    return model
