import pytest
import torch
from torch import nn
from torch.nn import functional

from zoo.engine.prefix.fused import FusedConv, HalvingPool, fused
from zoo.engine.prefix.tail import ReachedError

needs_bf16 = pytest.mark.skipif(
    not (torch.backends.mkldnn.is_available() and torch.ops.mkldnn._is_mkldnn_bf16_supported()),
    reason="this processor's convolutions do not compute in bf16",
)


class Body(nn.Module):
    """Layers in front of a cut; ``way`` says how the last of them are joined."""

    def __init__(self, way="residual"):
        super().__init__()
        self.way = way
        self.stem, self.pool = nn.Conv2d(3, 16, 7, 2, 3, bias=False), nn.MaxPool2d(3, 2, 1)
        self.one, self.two = nn.Conv2d(16, 16, 3, padding=1), nn.Conv2d(16, 16, 3, padding=1)
        self.down = nn.Conv2d(16, 16, 1)
        self.norm, self.relu = nn.Identity(), nn.ReLU(inplace=True)
        self.other = {"silu": nn.SiLU(), "hardswish": nn.Hardswish(), "relu6": nn.ReLU6()}.get(way)
        self.drop = nn.Dropout(0.5)

    def forward(self, images):
        maps = self.pool(self.relu(self.norm(self.stem(images))))
        out = self.drop(self.norm(self.two(self.relu(self.one(maps)))))
        raise ReachedError(getattr(self, f"_{self.way}", self._residual)(maps, out))

    def _residual(self, maps, out):
        out += maps
        return self.relu(out) if self.other is None else self.other(self.down(self.other(out)))

    def _shortcut(self, maps, out):
        return functional.relu(out + self.norm(self.down(maps)))

    def _again(self, maps, out):  # what was added is needed once more
        out = functional.relu(maps + out)
        return self.down(out) + out + maps

    def _twice(self, maps, out):  # what the convolution gave is needed beside the sum
        return functional.relu(maps + out) * out

    def _bare(self, maps, out):
        return torch.add(out, maps)

    def _scaled(self, maps, out):
        return torch.add(out, maps, alpha=0.5).relu()


def run(body, images):
    try:
        return body(images)
    except ReachedError as reached:
        return reached.value


def made(way, images):
    torch.manual_seed(3)
    body = Body(way).eval().to(memory_format=torch.channels_last)
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        return body, fused(body, images)


def pictures(count=2, side=30):
    drawn = torch.randn(count, 3, side, side, generator=torch.Generator().manual_seed(count))
    return drawn.contiguous(memory_format=torch.channels_last)


WAYS = {
    "residual": ["relu", "relu", "relu"],
    "silu": ["relu", "relu", "none", "swish"],
    "hardswish": ["relu", "relu", "none", "hardswish"],
    "relu6": ["relu", "relu", "none", "hardtanh"],
    "shortcut": ["relu", "relu", "none", "relu"],
    "again": ["relu", "relu", "relu", "none"],
    "twice": ["relu", "relu", "none"],
    "bare": ["relu", "relu", "none"],
    "scaled": ["relu", "relu", "none"],
}


@needs_bf16
@pytest.mark.parametrize("way", WAYS)
def test_fused_bodies_give_the_same_up_to_rounding(way):
    images = pictures()
    body, quick = made(way, images)
    assert quick is not None
    convs = [module for module in quick.modules() if isinstance(module, FusedConv)]
    assert sorted(conv.name for conv in convs) == sorted(WAYS[way])
    assert sum(isinstance(module, HalvingPool) for module in quick.modules()) == 1
    for count in (2, 7, 3):  # weights are laid out anew for more images
        images = pictures(count)
        with torch.no_grad():
            exact = run(body, images)
            with torch.autocast("cpu", dtype=torch.bfloat16):
                plain, found = run(body, images), quick(images)
                assert torch.equal(found, quick(images)), "something was written over"
        assert found.dtype == plain.dtype == torch.bfloat16
        assert found.stride() == plain.stride()
        assert float((found - exact).norm() / exact.norm()) < 0.01
        assert float((plain - exact).norm() / exact.norm()) < 0.01


@needs_bf16
def test_a_fused_body_leaves_its_layers_as_they_are():
    body, quick = made("residual", pictures())
    modes = {name: module.training for name, module in body.named_modules()}
    assert not any(modes.values())
    body.train()
    assert quick is not None
    assert all(m.training for n, m in body.named_modules() if n)
    assert {n for n, _ in body.named_parameters()} == {
        "stem.weight", "one.weight", "one.bias", "two.weight", "two.bias", "down.weight", "down.bias",
    }  # fmt: skip


class Branching(nn.Module):
    """What runs depends on numbers, which no record of it shows."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images):
        out = self.conv(images)
        raise ReachedError(functional.relu(out) if out.sum() > 0 else out)


class Nothing(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)

    def forward(self, images):
        raise ReachedError(self.conv(images).tanh())


class Odd(nn.Module):
    """Fusing gives other numbers: a hook changes what the activation sees."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.conv.register_forward_hook(lambda module, given, out: out * 3)

    def forward(self, images):
        raise ReachedError(functional.relu(self.conv(images)))


@pytest.mark.parametrize("body", [Branching, Nothing, Odd])
def test_what_cannot_be_fused_is_left_as_it_is(body):
    with torch.no_grad(), torch.autocast("cpu", dtype=torch.bfloat16):
        assert fused(body().eval(), pictures()) is None


def test_where_the_operators_may_not_be_used_nothing_is_fused(monkeypatch):
    monkeypatch.setattr(torch.backends.mkldnn, "enabled", False)
    assert made("residual", pictures())[1] is None


@needs_bf16
def test_numbers_that_are_too_far_off_are_refused(monkeypatch):
    """Operators without a promise: should they once do something else, they are not used."""
    right = FusedConv.forward

    def wrong(self, images, other=None):
        return right(self, images, other) * 1.05

    monkeypatch.setattr(FusedConv, "forward", wrong)
    assert made("residual", pictures())[1] is None


@pytest.mark.parametrize("size", [(1, 1), (1, 2), (2, 3), (7, 8), (9, 9), (112, 111)])
@pytest.mark.parametrize("last", [False, True])
def test_the_pooling_is_torchs(size, last):
    maps = torch.randn(2, 5, *size).relu().to(torch.bfloat16)
    maps[maps > 1.5] = torch.inf
    maps = maps.contiguous(memory_format=torch.channels_last) if last else maps
    kept = maps.clone()
    found = HalvingPool()(maps)
    assert torch.equal(found, functional.max_pool2d(maps, 3, 2, 1))
    assert torch.equal(maps, kept)
