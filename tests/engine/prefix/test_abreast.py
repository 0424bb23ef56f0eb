import pytest
import torch
from torch import fx, nn
from torch.nn import functional

from zoo.engine.prefix.abreast import Apart, Beside, Gapped, Ground, has_tiles, lay_abreast
from zoo.engine.prefix.fused import fused


class Joined(nn.Module):
    """A convolution that adds another map and applies a ReLU, as the fused ones do."""

    def __init__(self, *sizes, **more):
        super().__init__()
        self.conv = nn.Conv2d(*sizes, **more)

    def forward(self, maps, other=None):
        out = self.conv(maps)
        return functional.relu(out if other is None else out + other)


class Body(nn.Module):
    """Blocks over maps that become narrower."""

    def __init__(self, **last):
        super().__init__()
        self.stem = Joined(3, 8, 3, stride=2, padding=1)
        self.one = Joined(8, 16, 3, stride=2, padding=1)
        self.two = Joined(16, 16, 3, padding=1)
        self.down = Joined(8, 16, 1, stride=2)
        self.last = Joined(16, 16, **(last or {"kernel_size": 3, "padding": 1}))

    def forward(self, images):
        maps = self.stem(images)
        found = self.two(self.one(maps), self.down(maps))
        again = self.last(found)
        return torch.cat([again.mean((2, 3)), found.amax((2, 3))], 1)


class Tracer(fx.Tracer):
    def is_leaf_module(self, module, name):
        return isinstance(module, Joined) or super().is_leaf_module(module, name)


def laid(body, images):
    """How many convolutions see maps side by side, and the body that has them do so."""
    made = fx.GraphModule(body, Tracer().trace(body))
    modules = dict(made.named_modules())
    convs = {n: modules[n.target].conv for n in made.graph.nodes if n.op == "call_module"}
    count = lay_abreast(made, convs, images)
    made.graph.lint()
    made.recompile()
    return count, made


def pictures(count, high, wide=None):
    drawn = torch.Generator().manual_seed(count)
    return torch.randn(count, 3, high, wide or high, generator=drawn)


@pytest.mark.parametrize(("side", "count"), [(28, 4), (26, 4), (24, 4), (16, 4), (12, 5), (8, 5)])
@pytest.mark.parametrize("images", [1, 2, 5, 8])
def test_maps_side_by_side_give_the_same(side, count, images):
    torch.manual_seed(0)
    body = Body().eval()
    with torch.no_grad():
        found, made = laid(body, pictures(2, side))
        assert found == count
        given = pictures(images, side)
        torch.testing.assert_close(made(given), body(given), rtol=1e-4, atol=1e-5)


def test_a_map_that_is_not_square_is_as_narrow_as_it_is_wide():
    torch.manual_seed(0)
    body = Body().eval()
    with torch.no_grad():
        found, made = laid(body, pictures(2, 80, 28))
        assert found == 4
        given = pictures(3, 80, 28)
        torch.testing.assert_close(made(given), body(given), rtol=1e-4, atol=1e-5)
        assert laid(body, pictures(2, 28, 80))[0] == 0


@pytest.mark.parametrize(
    ("last", "count"),
    [
        ({"kernel_size": 5, "padding": 2}, 4),  # 8 from one to the next
        ({"kernel_size": 3, "padding": 2, "dilation": 2}, 4),
        ({"kernel_size": 7, "padding": 3}, 0),  # two of 7 with three columns each: 20 wide
        ({"kernel_size": (3, 1), "padding": (1, 0)}, 4),
        ({"kernel_size": 3, "padding": 0}, 3),  # without padding what is written would move
        ({"kernel_size": 3, "padding": 0, "stride": 2}, 3),
    ],
)
def test_whether_a_layer_can_be_laid_beside(last, count):
    torch.manual_seed(0)
    body = Body(**last).eval()
    with torch.no_grad():
        found, made = laid(body, pictures(2, 24))
        assert found == count
        given = pictures(3, 24)
        torch.testing.assert_close(made(given), body(given), rtol=1e-4, atol=1e-5)


def test_maps_that_are_wide_or_seen_by_flat_layers_stay_as_they_are():
    torch.manual_seed(0)
    flat = nn.Sequential(Joined(3, 8, 4, stride=4), Joined(8, 8, 3, padding=1), Joined(8, 8, 1))
    with torch.no_grad():
        assert laid(flat.eval(), pictures(2, 28))[0] == 0
        assert laid(flat[:2].eval(), pictures(2, 28))[0] == 2
        assert laid(Body().eval(), pictures(2, 64))[0] == 0


def test_layers_of_one_column_stay_apart_where_a_stride_leaves_them_one():
    torch.manual_seed(0)
    body = nn.Sequential(
        Joined(3, 8, 4, stride=4), Joined(8, 8, 3, stride=2, padding=1), Joined(8, 8, 3, padding=1)
    ).eval()
    with torch.no_grad():
        found, made = laid(body, pictures(2, 4))
        assert found == 0
        given = pictures(5, 4)
        torch.testing.assert_close(made(given), body(given), rtol=1e-4, atol=1e-5)


def test_two_maps_lie_with_zeros_between_them():
    maps = torch.arange(1.0, 13).view(3, 1, 2, 2)
    ground = Ground(count=2, step=3, width=2)
    beside = Beside(ground)(maps)
    assert beside.tolist() == [
        [[[1, 2, 0, 5, 6, 0], [3, 4, 0, 7, 8, 0]]],
        [[[9, 10, 0, 0, 0, 0], [11, 12, 0, 0, 0, 0]]],
    ]
    assert torch.equal(Apart(ground)(beside, maps), maps)
    layer = Gapped(nn.Conv2d(1, 1, 1), ground)
    nn.init.ones_(layer.layer.weight)
    nn.init.constant_(layer.layer.bias, 7)
    with torch.no_grad():
        assert torch.equal(Apart(ground)(layer(beside), maps), maps + 7)
        assert layer(beside)[..., 2::3].eq(0).all()


@pytest.mark.skipif(not has_tiles(), reason="this processor has no matrix units")
@pytest.mark.parametrize("side", [32, 96, 224])
def test_fused_maps_side_by_side_give_the_same_bits(side, monkeypatch):
    from torchvision.models import resnet18

    torch.manual_seed(0)
    body = nn.Sequential(*list(resnet18().children())[:-2]).eval()
    body = body.to(memory_format=torch.channels_last)
    for layer in [*body.modules()]:
        for name, child in layer.named_children():
            if isinstance(child, nn.BatchNorm2d):
                setattr(layer, name, nn.Identity())
    images = pictures(5, side).contiguous(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        beside = fused(body, images[:2])
        monkeypatch.setattr("zoo.engine.prefix.fused.has_tiles", lambda: False)
        alone = fused(body, images[:2])
        assert "abreast" in beside.code
        assert "abreast" not in alone.code
        assert torch.equal(beside(images), alone(images))
        assert beside(images).stride() == alone(images).stride()
