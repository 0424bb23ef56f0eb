"""Grad-CAM against what is known by algebra, and on models that were taught where to look."""

import pytest
import torch
import torchvision
from torch import nn
from torch.nn import functional

from zoo.errors import UsageError
from zoo.explaining.gradcam import check_scores, grad_cam
from zoo.explaining.layers import find_layer
from zoo.explaining.maps import Layer, Spatial

SIDE = 32


class Tiny(nn.Module):
    """Convolutions, the mean over all places, one linear layer: where CAM is exact."""

    def __init__(self, classes=2):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2),
            nn.Conv2d(8, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(inplace=True),
        )  # fmt: skip
        self.fc = nn.Linear(16, classes)

    def forward(self, images):
        return self.fc(self.features(images).mean((2, 3)))


class Tokens(nn.Module):
    """A transformer with a class token and registers, read at its class token or as a mean."""

    def __init__(self, *, extra=5, mean=False):
        super().__init__()
        self.patches = nn.Conv2d(3, 24, 8, 8)
        self.first = nn.Parameter(torch.randn(1, extra, 24))
        self.blocks = nn.Sequential(
            *(nn.TransformerEncoderLayer(24, 2, 48, 0.0, batch_first=True, norm_first=True)
              for _ in range(2))
        )  # fmt: skip
        self.extra, self.mean, self.head = extra, mean, nn.Linear(24, 3)

    def forward(self, images):
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = self.blocks(torch.cat([self.first.expand(len(images), -1, -1), tokens], 1))
        return self.head(tokens[:, self.extra :].mean(1) if self.mean else tokens[:, 0])


def images(count=3, side=SIDE, seed=0):
    return torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(seed))


def test_behind_a_mean_and_a_linear_layer_it_is_cam():
    """There the weight of a map is the class's weight of its channel, over the number of places."""
    torch.manual_seed(0)
    model, shown = torchvision.models.resnet18(num_classes=5).eval(), images(3, 64)
    classes = torch.tensor([4, 0, 2])
    heat, outputs = grad_cam(model, Layer("layer4", Spatial("NCHW", (2, 2))), shown, classes)
    kept = []
    handle = model.layer4.register_forward_hook(lambda *args: kept.append(args[-1]))
    with torch.no_grad():
        assert torch.equal(outputs, model(shown))
    handle.remove()
    cam = torch.einsum("nk,nkhw->nhw", model.fc.weight[classes], kept[0]).relu() / 4
    torch.testing.assert_close(heat, cam.detach())
    assert heat.any()


def test_channels_last_and_tokens_obey_the_same_relation():
    torch.manual_seed(0)
    swin = torchvision.models.SwinTransformer([4, 4], 8, [1, 1], [1, 2], [4, 4], num_classes=3)
    mean = Tokens(mean=True)
    for model, path in ((swin, "norm"), (mean, "blocks.1")):
        model.eval()
        layer = find_layer(model, images(), wanted=path)
        kept = []
        handle = model.get_submodule(path).register_forward_hook(lambda *a, k=kept: k.append(a[-1]))
        heat, outputs = grad_cam(model, layer, images())
        handle.remove()
        maps = layer.spatial.maps(kept[0].detach())
        weights = model.head.weight[outputs.argmax(1)]
        cam = torch.einsum("nk,nkhw->nhw", weights, maps).relu() / maps[0, 0].numel()
        torch.testing.assert_close(heat, cam.detach(), atol=1e-6, rtol=1e-4)
        assert heat.any()


def test_the_weights_are_the_slopes_that_shifting_a_whole_map_shows():
    """For any layer: d score / d (a map, everywhere) is the sum of the gradient over its places."""
    torch.manual_seed(1)
    model = Tiny().double().eval()
    layer = Layer("features.3", Spatial("NCHW", (16, 16)))
    shown = images(1).double()
    heat, _ = grad_cam(model, layer, shown, torch.tensor([1]))
    module = model.get_submodule(layer.path)
    slopes = []
    with torch.no_grad():
        maps, score = model.features[:4](shown), model(shown)[0, 1]
        for channel in range(8):
            step = torch.zeros_like(maps)
            step[:, channel] = 1e-6
            handle = module.register_forward_hook(lambda *args, s=step: args[-1] + s)
            slopes.append(float(model(shown)[0, 1] - score) / 1e-6)
            handle.remove()
    expected = (torch.tensor(slopes).view(1, -1, 1, 1) / 256 * maps).sum(1).relu()
    torch.testing.assert_close(heat.double(), expected, atol=1e-5, rtol=0.05)


@pytest.mark.parametrize("frozen", [False, True])
def test_nothing_is_left_behind(frozen):
    model = Tiny().eval()
    model.features.requires_grad_(not frozen)
    flags = [p.requires_grad for p in model.parameters()]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    fast = torch.backends.mha.get_fastpath_enabled()
    with torch.no_grad():  # the caller's mode is no matter
        heat, outputs = grad_cam(model, find_layer(model, images()), images())
    assert not heat.requires_grad
    assert not outputs.requires_grad
    assert heat.any()
    assert [p.requires_grad for p in model.parameters()] == flags
    assert all(p.grad is None for p in model.parameters())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert torch.backends.mha.get_fastpath_enabled() is fast


def test_all_is_put_back_after_an_error_as_well():
    model = Tiny().eval()
    with pytest.raises(RuntimeError):
        grad_cam(model, Layer("features.3", Spatial("NCHW", (16, 16))), torch.zeros(1, 4, 8, 8))
    assert all(p.requires_grad for p in model.parameters())
    assert not any(m._forward_hooks for m in model.modules())


def test_a_model_that_is_all_frozen_has_the_same_map():
    model = Tiny().eval()
    layer = find_layer(model, images())
    open_heat, _ = grad_cam(model, layer, images())
    model.requires_grad_(requires_grad=False)
    closed_heat, _ = grad_cam(model, layer, images())
    assert torch.equal(open_heat, closed_heat)


def test_one_image_or_many_have_the_same_maps():
    model = Tiny().eval()
    layer = find_layer(model, images())
    together, _ = grad_cam(model, layer, images())
    alone = torch.cat([grad_cam(model, layer, one[None])[0] for one in images()])
    torch.testing.assert_close(together, alone)


def test_tokens_are_found_where_torch_would_call_no_module_of_a_block():
    model = Tokens().eval()
    layer = find_layer(model, images())
    assert layer == Layer("blocks.1.norm1", Spatial("NLC", (4, 4), 5))
    heat, _ = grad_cam(model, layer, images())
    assert heat.shape == (3, 4, 4)
    assert heat.any()


def test_layers_that_give_several_tensors_keep_the_others():
    class Pair(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, images):
            return self.conv(images), images.mean()

    class Both(nn.Module):
        def __init__(self):
            super().__init__()
            self.pair, self.fc = Pair(), nn.Linear(4, 2)

        def forward(self, images):
            maps, mean = self.pair(images)
            return self.fc(maps.mean((2, 3)) + mean)

    model = Both().eval()
    heat, outputs = grad_cam(model, Layer("pair", Spatial("NCHW", (30, 30))), images())
    assert torch.equal(outputs, model(images()).detach())
    assert heat.shape == (3, 30, 30)


def test_a_layer_that_the_answer_does_not_need():
    model = Tiny().eval()
    model.unused = nn.Conv2d(3, 3, 1)
    with pytest.raises(UsageError, match="does not depend on layer 'unused'"):
        grad_cam(model, Layer("unused", Spatial("NCHW", (32, 32))), images())


def test_only_classifiers_have_scores():
    with pytest.raises(UsageError, match=r"gives \(N, 3, 8, 8\), not one score a class"):
        check_scores(nn.Identity(), torch.zeros(1, 3, 8, 8))


def pictures(count, *, seed, both=False, corner=None):
    """Noise with a red (0) or a blue (1) square, or both; and where they lie: top, left."""
    random = torch.Generator().manual_seed(seed)
    shown = torch.rand(count, 3, SIDE, SIDE, generator=random) * 0.6
    labels = torch.randint(2, (count,), generator=random)
    places = torch.zeros(count, 2, 2, dtype=torch.int64)
    for row in range(count):
        side = torch.randperm(2, generator=random)
        for kind in (0, 1) if both else (int(labels[row]),):
            top, left = torch.randint(SIDE - 8, (2,), generator=random).tolist()
            left = int(side[kind]) * 18 + left % 6 if both else left
            top, left = corner or (top, left)
            shown[row, :, top : top + 8, left : left + 8] = 0.1
            shown[row, 2 * kind, top : top + 8, left : left + 8] = 1.0
            places[row, kind] = torch.tensor([top, left])
    return shown - 0.3, labels, places


def taught(**where):
    """A small network that tells red squares from blue ones."""
    torch.manual_seed(0)
    model = Tiny()
    shown, labels, _ = pictures(96, seed=1, **where)
    rule = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(60):
        rule.zero_grad()
        functional.cross_entropy(model(shown), labels).backward()
        rule.step()
    rule.zero_grad()
    model.eval()
    assert (model(shown).argmax(1) == labels).float().mean() > 0.98
    return model


def share_inside(heat, place, size=8):
    """Which share of the heat lies over a square."""
    whole = functional.interpolate(heat[None, None], (SIDE, SIDE), mode="bilinear")[0, 0]
    top, left = (max(0, int(at) - 2) for at in place)
    return float(whole[top : top + size + 4, left : left + size + 4].sum() / whole.sum())


def test_where_the_class_always_lies_in_one_place_the_map_points_there():
    model = taught(corner=(20, 3))
    shown, labels, _ = pictures(20, seed=2, corner=(20, 3))
    heat, _ = grad_cam(model, find_layer(model, shown), shown, labels)
    shares = [share_inside(one, (20, 3)) for one in heat]
    assert min(shares) > 0.5  # the place is a seventh of the image


def test_of_two_things_in_one_image_each_class_shows_its_own():
    model = taught()
    shown, _, places = pictures(20, seed=3, both=True)
    layer = find_layer(model, shown)
    for kind in (0, 1):
        heat, _ = grad_cam(model, layer, shown, torch.full((20,), kind))
        own = [share_inside(one, places[row, kind]) for row, one in enumerate(heat)]
        other = [share_inside(one, places[row, 1 - kind]) for row, one in enumerate(heat)]
        assert sum(mine > theirs for mine, theirs in zip(own, other, strict=True)) >= 19
