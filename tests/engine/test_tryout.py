"""zoo.engine.tryout: does a model take images of this size?"""

import pytest
import torch
from torch import nn

from zoo.core import registry
from zoo.core.specs import InputSpec
from zoo.engine.tryout import takes, try_out
from zoo.errors import UsageError


def test_an_image_that_is_too_small_is_refused_in_words():
    model = registry.load().build("model", "vgg11", num_classes=2)
    with pytest.raises(UsageError, match="vgg11"):
        try_out(model, InputSpec(size=(3, 16, 16)), name="vgg11")


def test_nothing_changes():
    model = registry.load().build("model", "resnet18", num_classes=2)
    model.train()
    before = {n: t.clone() for n, t in model.state_dict().items()}
    state = torch.get_rng_state()
    try_out(model, InputSpec(size=(3, 32, 32)), name="resnet18", batch_size=4)
    assert model.training
    assert torch.equal(state, torch.get_rng_state())
    assert all(torch.equal(before[n], t) for n, t in model.state_dict().items())


def test_the_frozen_part_is_held_while_it_is_tried():
    model = registry.load().build("model", "resnet18", num_classes=2)
    held = []
    try_out(model, InputSpec(size=(3, 32, 32)), name="resnet18", hold=held.append)
    assert held


def test_what_a_model_takes_can_be_asked():
    model = registry.load().build("model", "vgg11", num_classes=2)
    assert takes(model, InputSpec(size=(3, 64, 64)))
    assert not takes(model, InputSpec(size=(3, 16, 16)))


def test_a_model_of_other_channels_says_how_to_show_it_them():
    model = nn.Sequential(nn.Conv2d(1, 2, 3), nn.Flatten(), nn.LazyLinear(2))
    model(torch.zeros(1, 1, 8, 8))
    with pytest.raises(UsageError, match="3 x 8 x 8") as raised:
        try_out(model, InputSpec(size=(3, 8, 8)))
    assert raised.value.hint == "its first convolution takes 1 channels: --in-channels 1"


class Tokens(nn.Module):
    """A transformer's beginning: as many places as a 32 x 32 image has patches."""

    def __init__(self):
        super().__init__()
        self.patches, self.places = nn.Conv2d(3, 8, 8, 8), nn.Parameter(torch.zeros(1, 8, 4, 4))
        self.head = nn.Linear(8, 2)

    def forward(self, images):
        return self.head((self.patches(images) + self.places).mean((2, 3)))


def test_a_model_built_for_one_size_is_told_from_one_that_needs_larger_images():
    declared = InputSpec(size=(3, 32, 32))
    for name in ("timm/tokens", "tokens"):
        with pytest.raises(
            UsageError, match="tokens does not take images of 3 x 64 x 64"
        ) as raised:
            try_out(Tokens(), InputSpec(size=(3, 64, 64)), name=name, declared=declared)
        assert raised.value.hint.startswith("it is built for --size 32")
        assert ("img_size=64" in raised.value.hint) == name.startswith("timm/")
    model = registry.load().build("model", "vgg11", num_classes=2)
    with pytest.raises(UsageError) as raised:
        try_out(model, InputSpec(size=(3, 16, 16)), declared=InputSpec(size=(3, 64, 64)))
    assert "larger images" in raised.value.hint
