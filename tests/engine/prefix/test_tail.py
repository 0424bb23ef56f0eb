from __future__ import annotations

from collections import namedtuple

import pytest
import torch
from torch import nn

from zoo.engine.prefix.tail import (
    GivenInput,
    GivenOutput,
    ReachedError,
    Skipped,
    Slot,
    StopAfter,
    StopBefore,
    Tail,
    on_meta,
    rebuild,
    resized,
)


def model():
    return nn.Sequential(
        nn.Sequential(nn.Linear(4, 4), nn.ReLU()), nn.Linear(4, 4), nn.Sequential(nn.Linear(4, 2))
    )


def test_rebuilding_copies_the_way_and_shares_the_rest():
    old, new = model(), nn.Identity()
    made = []
    body = rebuild(old, {"0.0": new}, made=lambda a, b: made.append((a, b)))
    assert body[0][0] is new
    assert body[2] is old[2]
    assert body[0][1] is old[0][1]
    assert isinstance(old[0][0], nn.Linear)
    assert [a for a, _ in made] == [old[0], old]


def test_a_shared_module_is_replaced_under_every_path():
    old = nn.Sequential(shared := nn.ReLU(), nn.Linear(2, 2), shared)
    body = rebuild(old, {"0": nn.Tanh()})
    assert isinstance(body[2], nn.Tanh)


def tail_of(old, **options):
    slot = Slot()
    skipped = Skipped(old[0], [torch.empty(2, 4, device="meta")], 2, slot, rest=False)
    replaced = {"0": skipped, "1": GivenOutput(old[1], slot)}
    names = frozenset({"0.0.weight", "0.0.bias", "1.weight", "1.bias"})
    return Tail(old, replaced, names, slot, (4,), **options)


def test_a_tail_runs_from_the_cut_and_trains_the_model_s_own_parameters():
    old = model()
    tail = tail_of(old)
    given = torch.randn(5, 4)
    assert torch.equal(tail(given), old[2](given))
    assert {id(p) for p in tail.parameters()} == {id(p) for p in old[2].parameters()}
    tail(given).sum().backward()
    assert old[2][0].weight.grad is not None


def test_modes_follow_in_both_directions():
    old = model()
    tail = tail_of(old)
    old.eval()
    tail(torch.randn(2, 4))
    assert not tail.body.training
    tail.train()
    assert old.training
    tail.eval()
    tail(torch.randn(2, 4))
    assert not old.training


def test_a_cut_that_is_passed_twice_or_not_at_all_is_loud():
    slot = Slot()
    stand_in = GivenOutput(nn.Identity(), slot)
    slot.value = torch.zeros(1)
    stand_in()
    with pytest.raises(RuntimeError, match="more than once"):
        stand_in()


def test_stand_ins_answer_for_what_they_stand_for():
    linear, slot = nn.Linear(3, 2), Slot()
    for stand_in in (
        GivenOutput(linear, slot),
        GivenInput(linear, slot),
        Skipped(linear, [], 1, slot, rest=True),
        StopBefore(linear),
    ):
        assert stand_in.in_features == 3
        with pytest.raises(AttributeError):
            _ = stand_in.nothing


def test_skipped_calls_come_first_the_rest_runs():
    linear, slot = nn.Linear(3, 2), Slot()
    slot.images = 4
    skipped = Skipped(linear, [torch.empty(2, 7, device="meta")], 2, slot, rest=True)
    assert skipped(None).shape == (4, 7)
    x = torch.randn(1, 3)
    assert torch.equal(skipped(x), linear(x))


def test_stops_carry_the_tensor_out():
    linear, x = nn.Linear(3, 2), torch.randn(1, 3)
    with pytest.raises(ReachedError) as reached:
        StopAfter(linear)(x)
    assert torch.equal(reached.value.value, linear(x))
    with pytest.raises(ReachedError) as reached:
        StopBefore(linear)(x, "further")
    assert reached.value.value is x


def test_structures_keep_their_form():
    Pair = namedtuple("Pair", "a b")
    given = {"x": Pair(torch.zeros(4, 3), [torch.zeros(()), None]), "y": (1, "z")}
    meta = on_meta(given)
    assert meta["x"].a.is_meta
    assert isinstance(meta["x"], Pair)
    bigger = resized(meta, 2, 5)
    assert bigger["x"].a.shape == (10, 3)
    assert bigger["x"].b[0].shape == ()
    assert bigger["y"] == (1, "z")


def test_the_containers_own_tensors_go_to_meta():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.token = nn.Parameter(torch.zeros(1, 4))
            self.register_buffer("shift", torch.ones(1, 4))
            self.stem, self.head = nn.Linear(4, 4), nn.Linear(4, 2)

        def forward(self, x):
            return self.head(self.stem(x) + self.token + self.shift)

    old, slot = Net(), Slot()
    skipped = Skipped(old.stem, [torch.empty(2, 4, device="meta")], 2, slot, rest=False)
    replaced = {"stem": skipped, "head": GivenInput(old.head, slot)}
    tail = Tail(old, replaced, frozenset({"token"}), slot, (4,), bare=True)
    x = torch.randn(3, 4)
    assert torch.equal(tail(x), old.head(x))
    assert not tail.body.token.requires_grad
    assert tail.body.shift.is_meta
    assert not old.shift.is_meta
