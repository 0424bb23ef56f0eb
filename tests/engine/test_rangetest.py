import math
from dataclasses import replace

import pytest
import torch
from tinyrun import CPU, TinyLoader, TinyRun
from torch.nn import functional

from zoo.core import compose
from zoo.engine.feed import Feed
from zoo.engine.processes.distributed import ALONE
from zoo.engine.rangetest import CONSTANT, LEAST, MOST, RangeTest, Tried, range_test, read
from zoo.engine.saving.live import Live
from zoo.engine.schedule import Schedule
from zoo.errors import NumericsError

RATES = [1e-6 * 10 ** (7 * k / 99) for k in range(100)]


def curve(noise=0.0, *, seed=0):
    """Flat at 2, down from 1e-3 to its lowest near 0.1, up and away from 0.3 on."""
    drawn = torch.randn(100, generator=torch.Generator().manual_seed(seed)).tolist()
    found = []
    for rate, error in zip(RATES, drawn, strict=True):
        x = math.log10(rate)
        fall = min(max((x + 3) / 2, 0.0), 1.0)
        found.append(2 - fall + max(0.0, x + 0.8) * 6 + noise * error)
    return found


def test_half_of_the_rate_of_the_lowest_loss_is_suggested():
    found = read(RATES, curve(), diverged=False)
    assert found.lowest == pytest.approx(0.1, rel=0.3)
    assert found.suggestion == pytest.approx(found.lowest / 2, rel=0.05)
    assert f"{found.suggestion:.2g}" == f"{found.suggestion:g}"


@pytest.mark.parametrize("seed", range(5))
def test_noise_moves_it_little(seed):
    found = read(RATES, curve(0.1, seed=seed), diverged=False)
    assert 0.015 < found.suggestion < 0.2


@pytest.mark.parametrize("seed", range(20))
def test_a_loss_that_only_scatters_suggests_nothing(seed):
    drawn = torch.randn(100, generator=torch.Generator().manual_seed(seed)).mul(0.1).add(2.3)
    assert read(RATES, drawn.tolist(), diverged=False).suggestion is None


def test_the_loss_that_is_no_number_is_left_out():
    found = read(RATES[:80], [*curve()[:79], math.nan], diverged=True)
    assert len(found.rates) == len(found.losses) == len(found.smooth) == 79
    assert found.diverged
    assert math.isfinite(found.suggestion)


def swept(tmp_path, *, peak=0.05, steps=60, ratio=1.0, loss=functional.cross_entropy, **how):
    """A range test of a tiny run; its steps, the rates of its groups at each, what was found."""
    run = TinyRun(tmp_path / "unused", ema=None, mixup=False, accumulate=1, **how)
    weights = [p for p in run.live.model.parameters() if p.ndim > 1]
    others = [p for p in run.live.model.parameters() if p.ndim <= 1]
    optimizer = torch.optim.SGD(
        [{"params": weights, "lr": peak}, {"params": others, "lr": peak * ratio}], momentum=0.9
    )
    live = Live(model=run.live.model, optimizer=optimizer, schedule=Schedule(optimizer))
    rates, tried = [], []
    going = range_test(
        live, replace(run.rules, epochs=2), peak=peak, steps=steps, train=run.train, place=CPU,
        loss=loss, feed=Feed(CPU, None, ()), world=ALONE,
    )  # fmt: skip
    rates.append(None)
    for said in going:
        if isinstance(said, RangeTest):
            return tried, rates, said
        tried.append(said)
        rates.append(live.schedule.rates)
    raise AssertionError("nothing was found")


def test_rates_grow_by_one_factor_and_groups_keep_their_ratio(tmp_path):
    tried, rates, found = swept(tmp_path, ratio=0.1)
    assert all(isinstance(step, Tried) for step in tried)
    assert [step.step for step in tried] == list(range(1, len(tried) + 1))
    assert tried[0].rate == pytest.approx(LEAST)
    growth = (MOST / LEAST) ** (1 / 59)
    for number, step in enumerate(tried):
        assert step.rate == pytest.approx(LEAST * growth**number)
    for number, at in enumerate(rates[1:-1], start=1):  # read after a step: those of the next
        assert at == pytest.approx((tried[number].rate, tried[number].rate / 10))
    assert found.rates == pytest.approx([step.rate for step in tried][: len(found.rates)])
    assert not (tmp_path / "unused").exists()


def test_it_goes_on_over_epochs_and_ends_where_the_loss_runs_away(tmp_path):
    tried, _, found = swept(tmp_path, steps=60)
    assert len(tried) > 12  # two epochs have twelve steps
    assert found.diverged
    assert len(tried) < 60
    assert 0.001 < found.suggestion < 1.0


def test_steps_that_end_before_are_no_divergence(tmp_path):
    tried, _, found = swept(tmp_path, steps=2)
    assert (len(tried), found.suggestion) == (2, None)


@pytest.mark.parametrize("broken", ["loss", "gradient"])
def test_a_first_step_without_numbers_is_said_as_that(tmp_path, broken):
    if broken == "loss":
        with pytest.raises(NumericsError, match="the loss is nan at the first step") as caught:
            swept(tmp_path, loader=TinyLoader(poison=tuple(range(22))))
        assert caught.value.everywhere  # of several processes one says it
        return
    with pytest.raises(NumericsError, match="its gradient is not finite at the first step"):
        swept(
            tmp_path, loss=lambda outputs, y: functional.cross_entropy(outputs, y) + rough(outputs)
        )


def rough(outputs):
    """0, whose gradient is nan."""
    zero = (outputs - outputs.detach()).sum()
    return torch.where(zero == 0, zero.sqrt(), zero)


def test_a_gradient_without_numbers_ends_it_like_a_loss_without(tmp_path):
    seen = []

    def loss(outputs, y):
        seen.append(1)
        value = functional.cross_entropy(outputs, y)
        return value + rough(outputs) if len(seen) > 20 else value

    tried, _, found = swept(tmp_path, loss=loss)
    assert len(tried) == 21
    assert found.diverged


def test_a_loss_may_lie_below_zero(tmp_path):
    tried, _, _ = swept(
        tmp_path, loss=lambda outputs, y: functional.cross_entropy(outputs, y) - 5.0
    )
    assert len(tried) > 20


def test_a_recipe_says_constant_meanwhile():
    recipe = compose.compose("finetune", [("x", {"model.name": "resnet18"})]).recipe
    assert compose.changed(recipe, CONSTANT).optim.schedule == "constant"
