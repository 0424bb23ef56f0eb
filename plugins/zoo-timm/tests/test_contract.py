"""Everything that zoo asks, of small members of each kind; and a CNN, a ViT and a hybrid at work."""

from __future__ import annotations

import pytest
import torch

from zoo.core import registry
from zoo.testing import plugin_contract

# Small members of three kinds: convolutional, transformer, both.
test_contract = plugin_contract(
    "timm", parts=("test_resnet", "test_vit", "test_efficientnet", "test_coatnet", "test_convnext")
)


@pytest.mark.parametrize(
    ("name", "target"),
    [("test_resnet", "layer2"), ("test_vit", "block1"), ("test_coatnet", "stage1")],
)
def test_a_cnn_a_vit_and_a_hybrid_fine_tune_frozen_and_export(name, target, tmp_path):
    import zoo.api

    run = zoo.api.finetune(
        f"timm/{name}",
        weights="none",
        classes=4,
        freeze_upto=target,
        epochs=1,
        set={
            "freeze.allow_random_frozen": True,
            "output.dir": str(tmp_path),
            "data.source": "demo",
            "data.options": {"per_class": 6},
            "data.workers": 0,
            "data.batch_size": 8,
            "device.threads": 1,
        },
    )
    assert "unchanged" in run.proof
    result = zoo.api.export(run.dir, format="torch-export", out=tmp_path, check=4)
    assert result.agreement is not None
    assert result.agreement.share == 1


def test_an_unknown_architecture_is_named():
    import zoo_timm.models

    with pytest.raises(AttributeError, match="no architecture 'resnet17'"):
        zoo_timm.models.resnet17  # noqa: B018 - looking it up is the point


def test_options_of_timm_are_passed_on():
    build = registry.load().build
    model = build("model", "timm/test_vit", num_classes=3, in_channels=1, drop_path_rate=0.1)
    size = model.pretrained_cfg["input_size"][1]
    assert model.eval()(torch.zeros(2, 1, size, size)).shape == (2, 3)
