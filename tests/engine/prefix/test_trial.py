from __future__ import annotations

import torch
from torch import nn

from zoo.core.recipe import FreezePart
from zoo.core.specs import InputSpec
from zoo.engine.freezing.freeze import plan_freeze
from zoo.engine.prefix.trial import Trial

SHOWN = InputSpec(size=(3, 4, 4))


def trial():
    model = nn.Sequential(
        nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4), nn.Dropout(),
        nn.Flatten(), nn.Linear(64, 2),
    )  # fmt: skip
    plan = plan_freeze(model, None, FreezePart(upto="1"), SHOWN)
    return model, Trial(model, plan, "1", after=True, early=("0",))


def test_runs_are_equal_under_equal_conditions_and_leave_no_trace():
    model, made = trial()
    before = {k: v.clone() for k, v in model.state_dict().items()}
    torch.manual_seed(9)
    state = torch.get_rng_state()
    images = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(1))
    with made.undisturbed():
        one = made.whole(images, training=True, seed=3)
        two = made.whole(images, training=True, seed=3)
        other = made.whole(images, training=True, seed=4)
        in_eval = made.whole(images, training=False, seed=3)
    assert torch.equal(one[1][0], two[1][0])
    assert not torch.equal(one[1][0], other[1][0])  # dropout
    assert torch.equal(one[0], in_eval[0])  # held
    assert made.outputs["0"][0].is_meta
    assert all(torch.equal(v, before[k]) for k, v in model.state_dict().items())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(m.training for m in model.modules())


def test_the_part_behind_is_run_as_the_whole_was():
    model, made = trial()
    images = torch.randn(2, 3, 4, 4)
    with made.undisturbed():
        at_cut, expected = made.whole(images, training=True, seed=3)
        got = made.behind(model[2:], at_cut, training=True, seed=3)
    assert made.same(got[0], expected[0])
    assert not made.same(got[0], expected[0].double())
    assert not made.same(got[0], expected[0] + 1e-6)
