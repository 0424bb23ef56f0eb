import copy

import pytest
import torch
from torch import nn

import zoo
from zoo.core.specs import InputSpec
from zoo.engine.freezing.cone import find_cone
from zoo.engine.standins import call_with, stand_ins
from zoo.engine.tryout import forward_once
from zoo.explaining.summary import summarise


class Twice(nn.Module):
    """A convolution that is there under two names, a weight that two layers share, a buffer."""

    def __init__(self):
        super().__init__()
        self.a = nn.Conv2d(3, 8, 3, padding=1)
        self.b = nn.Conv2d(8, 8, 3, padding=1)
        self.norm = nn.BatchNorm2d(8)
        self.c = self.b
        self.d = nn.Conv2d(8, 8, 3, padding=1)
        self.d.weight = self.b.weight
        self.fc = nn.Linear(8, 4)

    def forward(self, images):
        maps = self.d(self.c(self.norm(self.b(self.a(images)))))
        return self.fc(maps.mean((2, 3)))


class Biased(nn.Module):
    """Keeps what its biases come to in eval mode, by device, until train mode, as LeViT does."""

    def __init__(self):
        super().__init__()
        self.biases = nn.Parameter(torch.ones(4))
        self.kept = {}
        self.sizes = []

    def train(self, mode=True):
        self.kept = {}
        return super().train(mode)

    def forward(self, images):
        self.sizes.append(images.shape[-1])
        self.last = self.biases[[3, 2, 1]]
        key = str(images.device)
        if not self.training and key not in self.kept:
            self.kept[key] = self.last
        return images + (self.last if self.training else self.kept[key])[:, None, None]


def places(model):
    return {n: t.data_ptr() for n, t in model.state_dict(keep_vars=True).items()}


def test_each_place_has_a_stand_in_and_shared_tensors_share_it():
    made = stand_ins(Twice(), lambda tensor: tensor.detach().clone())
    assert "b.weight" in made
    assert "c.weight" not in made
    assert made["d.weight"] is made["b.weight"]
    assert made["d.bias"] is not made["b.bias"]
    assert "norm.running_mean" in made


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_the_model_has_its_own_tensors_back(device):
    model = Twice().eval()
    before = places(model)
    images = torch.randn(2, 3, 8, 8)
    expected = model(images)
    made = stand_ins(model, lambda tensor: torch.zeros_like(tensor, device=device))
    found = call_with(model, made, images.to(device))
    assert found.device.type == device
    if device == "cpu":
        assert not found.any()
    assert places(model) == before
    assert torch.equal(model(images), expected)


def test_looking_at_a_model_leaves_its_weights_where_they_are():
    model = Twice()
    before = places(model)
    zoo.freeze_upto(model, "a")
    summarise(model)
    forward_once(model, InputSpec(size=(3, 8, 8)))
    assert places(model) == before
    assert [n for n, p in model.named_parameters() if not p.requires_grad] == ["a.weight", "a.bias"]


@pytest.mark.parametrize("device", ["meta", "cpu"])
def test_what_a_model_keeps_outside_of_its_tensors_is_as_it_was(device):
    model = nn.Sequential(Biased(), nn.Conv2d(3, 2, 1)).eval()
    kept, sizes = model[0].kept, model[0].sizes
    sizes.append(1)
    made = stand_ins(model, lambda tensor: torch.zeros_like(tensor, device=device))
    call_with(model, made, torch.zeros(2, 3, 8, 8, device=device))
    assert model[0].kept is kept
    assert kept == {}
    assert model[0].sizes is sizes
    assert sizes == [1]
    assert not hasattr(model[0], "last")


def test_a_model_that_keeps_what_its_parameters_came_to_is_followed_each_time():
    model = nn.Sequential(Biased(), nn.Conv2d(3, 2, 1)).eval()
    forward_once(model, InputSpec(size=(3, 8, 8)))
    for _ in range(2):
        assert find_cone(model, "0").parameters == {"0.biases"}
    copy.deepcopy(model)
