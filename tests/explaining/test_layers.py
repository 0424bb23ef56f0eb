"""Which layer is looked at, in models of every kind."""

import pytest
import torch
from torch import nn

import zoo
from zoo.core import registry
from zoo.errors import UnknownNameError, UsageError
from zoo.explaining.gradcam import grad_cam
from zoo.explaining.layers import find_layer
from zoo.explaining.maps import Layer, Spatial


def made(name, **keywords):
    """A model with random weights, none of them 0, its entry, and images for it."""
    torch.manual_seed(0)
    model, spec = zoo.create_model(name, weights="none", **keywords), registry.load().model(name)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.ndim > 1 and not parameter.any():
                parameter.normal_(0, 0.02)
    return model, spec, torch.randn(1, *spec.input.size)


FAMILIES = {
    "alexnet": ("features.12", "NCHW", 6, 0),
    "convnext_tiny": ("features.7", "NCHW", 7, 0),
    "densenet121": ("features.norm5", "NCHW", 7, 0),
    "efficientnet_b0": ("features.8", "NCHW", 7, 0),
    "googlenet": ("inception5b", "NCHW", 7, 0),
    "inception_v3": ("Mixed_7c", "NCHW", 8, 0),
    "maxvit_t": ("blocks.3", "NCHW", 7, 0),
    "mobilenet_v3_small": ("features.12", "NCHW", 7, 0),
    "regnet_y_400mf": ("trunk_output.block4", "NCHW", 7, 0),
    "resnet18": ("layer4", "NCHW", 7, 0),
    "shufflenet_v2_x0_5": ("conv5", "NCHW", 7, 0),
    "squeezenet1_1": ("features.12", "NCHW", 13, 0),
    "swin_t": ("norm", "NHWC", 7, 0),
    "vgg11": ("features.20", "NCHW", 7, 0),
    "vit_b_32": ("encoder.layers.encoder_layer_11.ln_1", "NLC", 7, 1),
    "tutorials/catdog": ("conv2", "NCHW", 16, 0),
    "tutorials/lenet": ("conv2", "NCHW", 10, 0),
    "tutorials/resnet18-projected": ("layer4", "NCHW", 7, 0),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAMILIES)
def test_every_family_has_a_layer_that_counts(name):
    path, axes, side, skip = FAMILIES[name]
    model, spec, images = made(name)
    layer = find_layer(model, images, spec)
    assert layer == Layer(path, Spatial(axes, (side, side), skip))
    heat, outputs = grad_cam(model, layer, images)
    assert heat.shape == (1, side, side)
    torch.testing.assert_close(outputs, model(images).detach(), atol=1e-4, rtol=1e-4)


def test_stages_are_known_without_an_entry():
    model, _, images = made("resnet18")
    assert find_layer(model, images).path == "layer4"
    assert not any(m._forward_hooks for m in model.modules())
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("wanted", ["layer2", "layer2.1", "layer2.1.bn2"])
def test_a_layer_by_its_path(wanted):
    model, spec, images = made("resnet18")
    assert find_layer(model, images, spec, wanted) == Layer(wanted, Spatial("NCHW", (28, 28)))


def test_a_stage_by_the_name_that_it_is_frozen_by():
    model, spec, images = made("squeezenet1_1")
    assert find_layer(model, images, spec, "stage3").path == "features.12"


def test_a_layer_that_the_model_has_not():
    model, spec, images = made("resnet18")
    with pytest.raises(UnknownNameError, match="no layer 'layr4'") as caught:
        find_layer(model, images, spec, "layr4")
    assert caught.value.suggestions[0] == "layer4"
    with pytest.raises(UnknownNameError) as caught:
        find_layer(model, images, spec, "zzzzzzz")
    assert caught.value.hint.startswith("its stages are stem, layer1")


@pytest.mark.parametrize(("wanted", "said"), [("fc", "(N, 1000)"), ("avgpool", "(N, 512, 1, 1)")])
def test_a_layer_without_places_says_its_shape(wanted, said):
    model, spec, images = made("resnet18")
    with pytest.raises(UsageError) as caught:
        find_layer(model, images, spec, wanted)
    assert f"layer {wanted!r} gives {said}, which is no map" in caught.value.message
    assert caught.value.hint == "--layer layer4, or leave it out"


def test_a_layer_that_is_never_called():
    model, _, images = made("resnet18")
    model.spare = nn.Conv2d(3, 3, 1)
    with pytest.raises(UsageError, match="'spare' is never called"):
        find_layer(model, images, None, "spare")


@pytest.mark.parametrize("name", ["tutorials/mlp", "tutorials/linear"])
def test_a_model_without_places(name):
    model, spec, images = made(name)
    with pytest.raises(UsageError, match=r"no layer of .* gives a map of the image") as caught:
        find_layer(model, images, spec)
    assert "convolutions, or tokens" in caught.value.hint
    with pytest.raises(UsageError, match="no map of the image"):
        find_layer(model, images, spec, dict(spec.stages).get("hidden1", [spec.head])[0])


def test_a_model_that_gives_no_scores():
    model, spec, images = made("tutorials/upsampler")
    with pytest.raises(UsageError, match="not one score a class"):
        find_layer(model, images, spec)


def test_a_model_whose_answer_is_always_the_same_is_looked_at_where_others_are():
    model, spec, images = made("resnet18")
    nn.init.zeros_(model.fc.weight)
    assert find_layer(model, images, spec).path == "layer4"


class Own(nn.Module):
    """A transformer that cuts its patches out by itself."""

    def __init__(self):
        super().__init__()
        self.embed, self.norm = nn.Linear(192, 24), nn.LayerNorm(24)
        self.token = nn.Parameter(torch.randn(1, 1, 24))
        self.drop, self.head = nn.Dropout(), nn.Linear(24, 3)

    def forward(self, images):
        patches = nn.functional.unfold(images, 8, stride=8).transpose(1, 2)
        tokens = torch.cat([self.token.expand(len(images), -1, -1), self.embed(patches)], 1)
        tokens = self.norm(tokens)
        share = (tokens @ tokens.transpose(1, 2)).softmax(-1)
        share = self.drop(share[:, None])[:, 0]
        return self.head((share @ tokens)[:, 0])


def test_patches_that_no_convolution_cut_out():
    """What tokens make of each other, 17 by 17 numbers, is no map, whatever its proportion."""
    model = Own().eval()
    layer = find_layer(model, torch.randn(1, 3, 32, 32))
    assert layer == Layer("norm", Spatial("NLC", (4, 4), 1))


def test_rows_that_are_read_one_by_one_are_no_places():
    class Rows(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.head = nn.LSTM(84, 16, batch_first=True), nn.Linear(16, 3)

        def forward(self, images):
            return self.head(self.lstm(images.transpose(1, 2).flatten(2))[0][:, -1])

    with pytest.raises(UsageError, match="no layer of Rows gives a map"):
        find_layer(Rows().eval(), torch.randn(1, 3, 28, 28))
