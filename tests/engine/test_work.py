"""What a model's work says about precision, memory format and threads."""

from dataclasses import replace

import pytest
import torch
from torch import nn

import zoo
from zoo.core.recipe import DevicePart
from zoo.core.specs import InputSpec
from zoo.engine.place import Place
from zoo.engine.work import Work, enough_threads, suited, work_of

BF16 = Place(device=torch.device("cpu"), precision="bf16", threads=4)
PHOTO = InputSpec(size=(3, 64, 64))


def place_of(model, size, batch_size, channels=3, **part):
    shown = InputSpec(size=(channels, size, size))
    work = work_of(zoo.create_model(model, classes=10), shown)
    return suited(BF16, DevicePart(**part), work, batch_size)


def test_multiplications_are_counted_by_hand():
    model = nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1), nn.Conv2d(8, 8, 3, padding=1, groups=8), nn.Flatten(),
        nn.Linear(8 * 16, 10),
    )  # fmt: skip
    found = work_of(model, InputSpec(size=(3, 4, 4)))
    full, narrow, last = 16 * 8 * 27, 16 * 8 * 9, 10 * 128
    assert found.macs == full + narrow + last
    assert found.depthwise == pytest.approx(narrow / found.macs)
    assert found.params == sum(p.numel() for p in model.parameters())
    assert found.side == 4


def test_attention_is_counted():
    class Attends(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(8, 2, batch_first=True)

        def forward(self, images):
            tokens = images.flatten(2).transpose(1, 2).repeat(1, 1, 8)
            return self.attention(tokens, tokens, tokens)[0].mean(1)

    assert work_of(Attends(), InputSpec(size=(1, 2, 3))).macs == 6 * 8 * 4 * 8


def test_a_model_that_needs_values_is_counted_once_and_stays_as_it_is():
    class Looks(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(12, 2)

        def forward(self, images):
            assert float(images.sum()) == 0  # not on the meta device
            return self.linear(images.flatten(1))

    model = Looks().train()
    assert work_of(model, InputSpec(size=(3, 2, 2))).macs == 24
    assert model.training
    assert not model.linear._forward_hooks


def test_a_model_without_such_layers_is_left_to_the_defaults():
    assert work_of(nn.Flatten(), PHOTO) is None
    assert suited(BF16, DevicePart(), None, 8) == BF16
    assert suited(replace(BF16, channels_last=True), DevicePart(), None, 8) == BF16


@pytest.mark.parametrize(
    ("model", "size", "channels", "batch", "precision", "nhwc", "threads"),
    [
        ("tutorials/mlp", 28, 1, 4, "fp32", False, 1),
        ("tutorials/mlp", 28, 1, 64, "fp32", False, 4),
        ("tutorials/mlp", 28, 1, 128, "bf16", False, 4),
        ("tutorials/lenet", 32, 1, 4, "fp32", False, 1),
        ("tutorials/lenet", 32, 1, 64, "bf16", False, 4),
        ("resnet18", 32, 3, 32, "fp32", False, 4),
        ("resnet18", 64, 3, 32, "bf16", True, 4),
        ("resnet18", 224, 3, 8, "bf16", True, 4),
        ("mobilenet_v3_small", 224, 3, 32, "fp32", True, 4),
        ("shufflenet_v2_x0_5", 64, 3, 32, "fp32", True, 4),
        ("convnext_tiny", 160, 3, 4, "bf16", True, 4),
    ],
)
def test_what_auto_means_is_what_was_measured_to_be_faster(
    model, size, channels, batch, precision, nhwc, threads
):
    found = place_of(model, size, batch, channels)
    assert (found.precision, found.channels_last, found.threads) == (precision, nhwc, threads)


def test_reasons_are_said_where_something_unusual_was_chosen():
    small = place_of("tutorials/mlp", 28, 4, channels=1)
    assert small.line() == (
        "cpu, fp32, 1 thread (bf16 does not pay for steps this small; "
        "more threads would not help steps this small)"
    )
    narrow = place_of("mobilenet_v3_small", 64, 64)
    assert narrow.why == ("bf16 is slower with depthwise convolutions",)
    assert place_of("resnet18", 64, 32).why == ()


def test_what_was_asked_for_is_done():
    asked = place_of(
        "tutorials/mlp", 28, 4, channels=1, precision="bf16", threads=4, channels_last=True
    )
    assert asked.precision == "bf16"
    assert asked.threads == 4
    assert not asked.why
    kept = replace(BF16, channels_last=True)
    work = Work(macs=1, params=9, depthwise=0.0, convolutional=True, side=8)
    assert suited(kept, DevicePart(channels_last=True), work, 4).channels_last


def test_accelerators_keep_what_the_device_suggests():
    place = Place(device=torch.device("cuda:0"), precision="bf16", threads=8)
    work = Work(macs=10, params=1000, depthwise=0.5, convolutional=True, side=32)
    found = suited(place, DevicePart(), work, 4)
    assert (found.precision, found.channels_last, found.threads) == ("bf16", True, 8)
    assert found.why == ()


def test_fp32_places_need_no_reason():
    place = replace(BF16, precision="fp32")
    work = Work(macs=10**9, params=10**9, depthwise=0.0, convolutional=False, side=32)
    assert suited(place, DevicePart(), work, 4).why == ()


@pytest.mark.parametrize(
    ("place", "model", "shape", "threads"),
    [
        (BF16, nn.Linear(512, 40), (32, 512), 1),
        (BF16, nn.Sequential(nn.Flatten(), nn.Dropout(), nn.Linear(512, 40)), (32, 512), 1),
        (BF16, nn.Linear(2048, 1000), (32, 2048), 2),  # work enough for several
        (BF16, nn.Bilinear(128, 128, 100), (32, 128), 2),  # as much, in no linear layer
        (BF16, nn.Linear(512, 40), (32, 7, 512), 2),  # no vectors
        (replace(BF16, threads=1), nn.Linear(512, 40), (32, 512), 2),  # nothing to be spared
    ],
)
def test_a_step_of_a_small_head_takes_one_thread(place, model, shape, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        with enough_threads(place, model, torch.empty(shape)):
            assert torch.get_num_threads() == threads
        assert torch.get_num_threads() == 2
        with pytest.raises(ValueError, match="left"), enough_threads(place, model, torch.ones(1)):
            raise ValueError("left")
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
