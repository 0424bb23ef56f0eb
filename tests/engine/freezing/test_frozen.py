"""zoo.engine.freezing.frozen: a freeze plan at work."""

import pytest
import torch
from torch import nn

from zoo.core.recipe import FreezePart
from zoo.core.specs import InputSpec
from zoo.engine.freezing.freeze import plan_freeze
from zoo.engine.freezing.frozen import Frozen
from zoo.errors import VerificationError

SHOWN = InputSpec(size=(3, 8, 8))


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.body = nn.Sequential(nn.Conv2d(4, 4, 3, padding=1), nn.BatchNorm2d(4))
        self.fc = nn.Linear(4, 2)

    def forward(self, x):
        return self.fc(self.body(self.stem(x)).mean((2, 3)))


def frozen(**part):
    torch.manual_seed(0)
    model = Net()
    return model, Frozen(model, plan_freeze(model, None, FreezePart(**part), SHOWN))


def train(model, held, steps=3):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    for _ in range(steps):
        model.train()
        held.hold(model)
        model(torch.randn(4, 3, 8, 8) + 3).square().sum().backward()
        optimizer.step()
        optimizer.zero_grad()


def test_what_is_frozen_does_not_move_and_is_proved():
    model, held = frozen(upto="stem")
    before = {n: t.clone() for n, t in model.state_dict().items()}
    record = held.begin()
    train(model, held)
    proved = held.prove()
    assert proved["unchanged"] is True
    assert proved["sha256"] == record["sha256"]
    assert held.line.startswith("frozen: 4 tensors, 3 BN buffers, unchanged")
    after = model.state_dict()
    assert all(torch.equal(before[n], after[n]) for n in before if n.startswith("stem"))
    assert not torch.equal(before["body.0.weight"], after["body.0.weight"])


def test_a_change_behind_the_plan_fails_the_proof():
    model, held = frozen(upto="stem")
    held.begin()
    with torch.no_grad():
        model.stem[0].weight[0, 0, 0, 0] += 1e-7
    with pytest.raises(VerificationError, match="the freeze proof failed") as caught:
        held.prove()
    assert caught.value.exit_code == 11
    assert "stem.0.weight" in caught.value.message


def test_a_resumed_run_is_held_to_the_digest_of_its_beginning():
    _, held = frozen(upto="stem")
    digest = held.begin()["sha256"]
    assert held.prove(digest)["unchanged"]
    with pytest.raises(VerificationError, match="not those that the run began with"):
        held.prove("0" * 64)


def test_thawing_comes_once_and_keeps_its_place_in_the_groups():
    model, held = frozen(upto="body", unfreeze_at=("2:body",))
    assert set(held.later) == {n for n, _ in model.named_parameters() if n.startswith("body")}
    assert [held.thaw(epoch) for epoch in range(4)] == [False, False, True, False]
    assert model.body[0].weight.requires_grad
    assert not model.stem[0].weight.requires_grad


def test_a_resumed_run_thaws_what_is_due_until_then():
    model, held = frozen(upto="body", unfreeze_at=("1:body",))
    assert held.thaw(3) is True
    assert model.body[0].weight.requires_grad


def test_nothing_frozen_leaves_no_record():
    _, held = frozen()
    held.begin()
    assert held.prove() == {}
    assert held.record({}) == {}


def test_the_record_holds_the_plan_and_the_proof():
    _, held = frozen(upto="stem")
    record = held.record(held.begin())
    assert record["frozen"] == ["stem.0.weight", "stem.0.bias", "stem.1.weight", "stem.1.bias"]
    assert record["frozen_size"] == 120
    assert record["proof"]["tensors"] == 4
    assert record["line"].startswith("frozen stage1 | 120 params, 1 BN (eval)")
