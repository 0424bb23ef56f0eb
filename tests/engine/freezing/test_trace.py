from __future__ import annotations

from dataclasses import dataclass

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import dropout
from torch.utils.checkpoint import checkpoint

from zoo.core.specs import InputSpec
from zoo.engine.freezing.trace import candidate_inputs, mode, record, tensors_in
from zoo.errors import FreezeError

SMALL = InputSpec(size=(3, 8, 8))


def names(trace, path, field="outputs"):
    return {n for call in trace.calls[path] for n in trace.named(getattr(call, field))}


def test_every_call_knows_what_is_upstream():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    trace = record(model, SMALL)
    assert trace.how == "meta"
    assert names(trace, "0", "inputs") == set()
    assert names(trace, "0") == {"0.weight", "0.bias"}
    assert names(trace, "2") == {"0.weight", "0.bias", "1.weight", "1.bias"}
    assert trace.calls["0"][0].shapes == ((2, 4, 6, 6),)


def test_an_inplace_operation_later_does_not_move_a_module_s_cone():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.a, self.b = nn.Conv2d(3, 4, 1), nn.Conv2d(3, 4, 1)

        def forward(self, x):
            y = self.a(x)
            y += self.b(x)
            return y

    trace = record(Net(), SMALL)
    assert names(trace, "a") == {"a.weight", "a.bias"}
    assert trace.named(trace.output) == {"a.weight", "a.bias", "b.weight", "b.bias"}


def test_functional_uses_are_followed():
    attention = nn.MultiheadAttention(8, 2, batch_first=True)

    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.attention, self.token = attention, nn.Parameter(torch.zeros(1, 1, 8))

        def forward(self, x):
            x = torch.cat([self.token.expand(len(x), -1, -1), x.flatten(1).view(len(x), -1, 8)], 1)
            return self.attention(x, x, x)[0][:, 0]

    trace = record(Net(), InputSpec(size=(1, 8, 8)))
    assert trace.named(trace.output) == {n for n, _ in Net().named_parameters()}
    assert "attention.out_proj" not in trace.calls


def test_nothing_of_the_model_changes():
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Dropout(), nn.Flatten())
    model[1].eval()
    model[0].weight.requires_grad_(False)
    before = {k: v.clone() for k, v in model.state_dict().items()}
    flags = [m.training for m in model.modules()]
    for training in (False, True):
        record(model, SMALL, training=training)
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert [m.training for m in model.modules()] == flags
    assert not model[0].weight.requires_grad
    assert not model[0]._forward_hooks


def test_a_model_that_needs_values_runs_on_its_own_device_without_touching_it():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv, self.norm, self.head = nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Linear(4, 2)

        def forward(self, x):
            x = self.norm(self.conv(x))
            x = dropout(x, training=self.training)
            scale = 1.0 if float(x.detach().abs().sum()) > 0 else 0.5  # no values on meta
            return self.head(x.mean((2, 3)) * scale)

    model = Net()
    torch.manual_seed(3)
    state = torch.get_rng_state()
    trace = record(model, SMALL, training=True)
    assert trace.how == "cpu"
    assert trace.named(trace.output) == {n for n, _ in model.named_parameters()}
    assert torch.equal(torch.get_rng_state(), state)
    assert int(model.norm.num_batches_tracked) == 0


@pytest.mark.parametrize("reentrant", [False, True])
def test_checkpointed_models_are_followed_or_refused_never_half_followed(reentrant):
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.body, self.head = nn.Conv2d(3, 4, 8), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(checkpoint(self.body, x, use_reentrant=reentrant).flatten(1))

    if reentrant:
        with pytest.raises(FreezeError, match="checkpointing"):
            record(Net(), SMALL)
    else:
        trace = record(Net(), SMALL)
        assert len(trace.named(trace.output)) == 4


def test_shared_modules_have_several_calls():
    model = nn.Sequential(relu := nn.ReLU(), nn.Conv2d(3, 3, 1), relu)
    assert len(record(model, SMALL).calls["0"]) == 2


def test_a_model_that_cannot_run_says_what_happened():
    class Net(nn.Module):
        def forward(self, x):
            raise ValueError("needs two images")

    with pytest.raises(FreezeError, match="needs two images") as caught:
        record(Net(), SMALL)
    assert "registry entry" in caught.value.hint


def test_a_size_that_does_not_fit_does_not_matter_for_the_graph():
    model = nn.Sequential(nn.Conv2d(1, 2, 1), nn.Flatten(), nn.Linear(2 * 28 * 28, 3))
    assert record(model, InputSpec(size=(3, 224, 224))).named(3) == {"0.weight", "0.bias"}
    assert (1, 224, 224) in [spec.size for spec in candidate_inputs(model, SMALL)]


def test_tensors_are_found_in_any_nesting():
    @dataclass
    class Output:
        logits: Tensor
        aux: list[Tensor]

    one, two, three = torch.zeros(1), torch.zeros(2), torch.zeros(3)
    found = list(tensors_in({"a": Output(one, [two]), "b": (three, "text", None)}))
    assert [t.numel() for t in found] == [1, 2, 3]


def test_mode_does_not_call_an_overridden_train():
    class Net(nn.Module):
        def train(self, mode=True):
            raise AssertionError("not called")

    net = Net()
    with mode(net, training=False):
        assert not net.training
    assert net.training


def test_calls_on_the_image_are_told_from_those_on_constants():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.first, self.places = nn.Conv2d(3, 4, 1), nn.Conv2d(2, 4, 1)
            self.then = nn.Conv2d(4, 2, 1)

        def forward(self, images):
            grid = torch.ones(1, 2, *images.shape[2:], device=images.device)
            return self.then(self.first(images.flip(3)) + self.places(grid))

    trace = record(Net(), InputSpec(size=(3, 8, 6)))
    assert trace.size == (3, 8, 6)
    shown = {name: trace.shows_image(calls[0]) for name, calls in trace.calls.items() if name}
    assert shown == {"first": True, "places": False, "then": False}
