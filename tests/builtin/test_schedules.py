"""Schedules against torch's own schedulers as oracles."""

from __future__ import annotations

import math

import pytest
import torch
from torch.optim import SGD, AdamW
from torch.optim import lr_scheduler as oracle

from zoo.builtin import schedules
from zoo.plugin import UsageError

TOTAL = 12


def optimizer(kind=SGD, **options):
    groups = [{"params": [torch.zeros(1, requires_grad=True)], "lr": lr} for lr in (0.1, 0.4)]
    return kind(groups, lr=0.1, **options)


def curve(build, steps=TOTAL, kind=SGD, **options):
    """The rates of both groups before each step and after the last."""
    own = optimizer(kind, **({"momentum": 0.9} if kind is SGD else {}))
    scheduler = build(own, **options)
    rates = [[group["lr"] for group in own.param_groups]]
    for _ in range(steps):
        own.step()
        scheduler.step()
        rates.append([group["lr"] for group in own.param_groups])
    return torch.tensor(rates, dtype=torch.float64)


@pytest.mark.parametrize(
    ("ours", "options", "theirs"),
    [
        (schedules.constant, {}, lambda o: oracle.ConstantLR(o, 1.0, 1)),
        (schedules.cosine, {}, lambda o: oracle.CosineAnnealingLR(o, TOTAL)),
        (schedules.linear, {"final": 0.2}, lambda o: oracle.LinearLR(o, 1.0, 0.2, TOTAL)),
        (schedules.polynomial, {"power": 0.9}, lambda o: oracle.PolynomialLR(o, TOTAL, 0.9)),
        (schedules.exponential, {}, lambda o: oracle.ExponentialLR(o, 0.01 ** (1 / TOTAL))),
        (schedules.step, {}, lambda o: oracle.StepLR(o, TOTAL // 3, 0.1)),
        (schedules.multistep, {}, lambda o: oracle.MultiStepLR(o, [6, 9], 0.1)),
        (schedules.one_cycle, {},
         lambda o: oracle.OneCycleLR(o, [0.1, 0.4], total_steps=TOTAL + 1)),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)  # fmt: skip
def test_the_curve_is_torchs(ours, options, theirs):
    rates, expected = curve(ours, total=TOTAL, **options), curve(theirs)
    # StepLR goes on falling when the run is over; the last row is never used.
    assert torch.allclose(rates[:-1], expected[:-1], rtol=1e-9, atol=1e-12)


def test_restarts_are_torchs_until_the_end():
    ours = curve(schedules.cosine_restarts, total=TOTAL, cycles=3)
    theirs = curve(lambda o: oracle.CosineAnnealingWarmRestarts(o, 4))
    assert torch.allclose(ours[:-1], theirs[:-1])
    assert ours[-1].tolist() == [0.0, 0.0]  # the run ends low, it does not restart


@pytest.mark.parametrize(
    ("build", "options", "last"),
    [
        (schedules.cosine, {"final": 0.1}, 0.1),
        (schedules.cosine_restarts, {"final": 0.1}, 0.1),
        (schedules.polynomial, {"final": 0.1}, 0.1),
        (schedules.inverse_sqrt, {}, 0.1),
        (schedules.stable_decay, {}, 0.0),
        (schedules.exponential, {}, 0.01),
    ],
)
def test_every_group_ends_at_the_same_share_of_its_peak(build, options, last):
    rates = curve(build, total=TOTAL, **options)
    assert torch.allclose(rates[0], torch.tensor([0.1, 0.4]).double())
    assert torch.allclose(rates[-1], last * rates[0], atol=1e-9)


def test_inverse_sqrt_is_its_formula():
    rates = curve(schedules.inverse_sqrt, total=TOTAL, final=0.5)[:, 0]
    expected = [0.1 / math.sqrt(1 + 3 * step / TOTAL) for step in range(TOTAL + 1)]
    assert torch.allclose(rates, torch.tensor(expected).double())


def test_stable_decay_holds_the_peak():
    rates = curve(schedules.stable_decay, steps=10, total=10, decay=0.3)[:, 0]
    assert torch.allclose(rates[:8], torch.full((8,), 0.1).double())
    assert torch.allclose(rates[8:], torch.tensor([2, 1, 0]).double() / 30)


@pytest.mark.parametrize("total", [3, 7, 10, 30, 90, 1000])
def test_stairs_come_at_the_stated_fraction(total):
    rates = curve(schedules.multistep, steps=total, total=total, milestones=[0.3, 0.7])[:, 0]
    for step, rate in enumerate(rates.tolist()):
        drops = (10 * step >= 3 * total) + (10 * step >= 7 * total)
        assert rate == pytest.approx(0.1 * 0.1**drops)


@pytest.mark.parametrize("name", ["constant", "cosine", "cosine_restarts", "linear", "polynomial",
                                  "exponential", "inverse_sqrt", "step", "multistep",
                                  "stable_decay", "one_cycle"])  # fmt: skip
@pytest.mark.parametrize("total", [1, 2, 5])
def test_short_runs_work_and_state_round_trips(name, total):
    build = getattr(schedules, name)
    straight = curve(build, steps=total, total=total)
    own = optimizer(momentum=0.9)
    first = build(own, total=total)
    half = total // 2
    for _ in range(half):
        own.step()
        first.step()
    again = optimizer(momentum=0.9)
    second = build(again, total=total)
    again.load_state_dict(own.state_dict())
    second.load_state_dict(first.state_dict())
    for step in range(half, total):
        assert [g["lr"] for g in again.param_groups] == straight[step].tolist()
        again.step()
        second.step()
    assert [g["lr"] for g in again.param_groups] == straight[total].tolist()


@pytest.mark.parametrize("total", [1, 2, 5, 40])
def test_one_cycle_ends_at_its_lowest(total):
    rates = curve(schedules.one_cycle, steps=total, total=total)
    assert torch.allclose(rates[-1], torch.tensor([0.1, 0.4]).double() / 25e4)
    assert (rates >= rates[-1]).all()


def test_one_cycle_leaves_optimizers_without_momentum_alone():
    curve(schedules.one_cycle, kind=torch.optim.Adagrad, total=TOTAL)
    own = optimizer(AdamW)
    schedules.one_cycle(own, total=TOTAL)
    assert own.param_groups[0]["betas"][0] == 0.95


def test_plateau_waits_for_the_loss():
    own = optimizer()
    scheduler = schedules.plateau(own, total=TOTAL, factor=0.5, patience=1)
    for loss in (1.0, 0.9, 0.9, 0.9):
        scheduler.step(loss)
    assert [g["lr"] for g in own.param_groups] == [0.05, 0.2]


@pytest.mark.parametrize(
    ("build", "options"),
    [
        (schedules.cosine, {"final": 2.0}),
        (schedules.cosine, {"total": 0}),
        (schedules.exponential, {"final": 0.0}),
        (schedules.stable_decay, {"decay": 0.0}),
        (schedules.multistep, {"milestones": [0.7, 0.3]}),
        (schedules.multistep, {"milestones": [30, 60]}),
        (schedules.step, {"drops": -1}),
        (schedules.cosine_restarts, {"cycles": 0}),
        (schedules.polynomial, {"power": 0}),
        (schedules.one_cycle, {"anneal_strategy": "sine"}),
    ],
)
def test_numbers_out_of_range_are_refused(build, options):
    with pytest.raises(UsageError):
        build(optimizer(), **{"total": TOTAL, **options})
