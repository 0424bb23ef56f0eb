"""Where timm's models look: a layer with places is found in families of every kind."""

import pytest
import torch
from PIL import Image

import zoo
from zoo.core import registry
from zoo.core.metadata import CheckpointInfo
from zoo.engine.start.loaded import Loaded
from zoo.errors import UsageError
from zoo.explaining.gradcam import grad_cam
from zoo.explaining.layers import find_layer

FAMILIES = {
    "cait_xxs24_224": ("blocks_token_only.1.norm1", "NLC", 14, 1),
    "convnext_atto": ("stages.3", "NCHW", 7, 0),
    "deit_tiny_distilled_patch16_224": ("blocks.11.norm1", "NLC", 14, 2),
    "efficientformer_l1": ("norm", "NLC", 7, 0),
    "eva02_tiny_patch14_224": ("blocks.11", "NLC", 16, 1),
    "levit_128s": ("stages.2", "NLC", 4, 0),
    "mobilevit_xxs": ("final_conv", "NCHW", 8, 0),
    "pit_ti_224": ("transformers.2.blocks.3.norm1", "NLC", 7, 1),
    "pvt_v2_b0": ("stages.3", "NCHW", 7, 0),
    "swin_tiny_patch4_window7_224": ("norm", "NHWC", 7, 0),
    "tnt_s_patch16_224": ("blocks.11.norm_out", "NLC", 14, 1),
    "vit_tiny_patch16_224": ("blocks.11.norm1", "NLC", 14, 1),
    "vit_little_patch16_reg4_gap_256": ("blocks.13", "NLC", 16, 4),
    "xcit_nano_12_p16_224": ("cls_attn_blocks.1.norm1", "NLC", 14, 1),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_a_layer_with_places_is_found(name):
    torch.manual_seed(0)
    spec = registry.load().model(f"timm/{name}")
    model, images = zoo.create_model(spec.qualified), torch.randn(1, *spec.input.size)
    layer = find_layer(model, images, spec)
    found = (layer.path, layer.spatial.axes, layer.spatial.grid, layer.spatial.skip)
    path, axes, side, skip = FAMILIES[name]
    assert found == (path, axes, (side, side), skip)
    heat, outputs = grad_cam(model, layer, images)
    assert heat.shape == (1, side, side)
    assert heat.isfinite().all()
    torch.testing.assert_close(outputs, model(images).detach(), atol=1e-4, rtol=1e-4)


def test_heads_on_features_of_several_widths_give_no_vectors(tmp_path):
    model = zoo.create_model("timm/crossvit_9_240")
    info = CheckpointInfo(model="timm/crossvit_9_240", plugin="timm", num_classes=1000)
    image = tmp_path / "a.png"
    Image.new("RGB", (8, 8)).save(image)
    with pytest.raises(UsageError, match="features of several widths") as caught:
        zoo.embed(Loaded(model, info, image), [image], device="cpu")
    assert caught.value.hint.startswith("only a model with one head")
