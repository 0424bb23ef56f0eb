import pytest
import torch
from torch.optim import lr_scheduler as lr

from zoo.engine.saving.state import pack, unpack
from zoo.engine.schedule import Schedule


def optimizer(*rates):
    groups = [{"params": [torch.nn.Parameter(torch.ones(1))], "lr": rate} for rate in rates]
    return torch.optim.SGD(groups or [torch.nn.Parameter(torch.ones(1))], lr=1.0)


def rates(schedule, steps):
    found = []
    for _ in range(steps):
        found.append(schedule.rates[0])
        schedule.step()
    return found


def test_without_inner_it_is_constant():
    assert rates(Schedule(optimizer(0.5)), 3) == [0.5, 0.5, 0.5]


def test_warmup_is_linear_then_the_inner_schedule_starts_at_its_peak():
    o = optimizer(1.0)
    schedule = Schedule(o, lr.CosineAnnealingLR(o, 4), warmup=4)
    expected = [0.25, 0.5, 0.75, 1.0, 1.0, 0.8536, 0.5, 0.1464, 0.0]
    assert rates(schedule, 9) == pytest.approx(expected, abs=1e-4)


def test_without_warmup_it_equals_torch():
    o, p = optimizer(1.0), optimizer(1.0)
    mine, theirs = Schedule(o, lr.CosineAnnealingLR(o, 7)), lr.CosineAnnealingLR(p, 7)
    for _ in range(7):
        assert o.param_groups[0]["lr"] == p.param_groups[0]["lr"]
        p.step()
        mine.step()
        theirs.step()


def test_groups_keep_their_proportions():
    o = optimizer(1.0, 0.1)
    schedule = Schedule(o, lr.CosineAnnealingLR(o, 4), warmup=2)
    for _ in range(5):
        assert schedule.rates[1] == pytest.approx(schedule.rates[0] / 10)
        schedule.step()


def test_a_schedule_by_epoch_moves_only_at_epochs():
    o = optimizer(1.0)
    schedule = Schedule(o, lr.StepLR(o, 1, gamma=0.5), per_epoch=True)
    assert rates(schedule, 3) == [1.0, 1.0, 1.0]
    schedule.epoch(0.0)
    assert rates(schedule, 2) == [0.5, 0.5]


def test_plateau_sees_the_loss():
    o = optimizer(1.0)
    schedule = Schedule(o, lr.ReduceLROnPlateau(o, patience=0, factor=0.1), per_epoch=True)
    for loss in (1.0, 0.5, 0.6):
        schedule.step()
        schedule.epoch(loss)
    assert schedule.rates[0] == pytest.approx(0.1)


def test_slowing_down_scales_everything_from_there_on():
    o = optimizer(1.0)
    schedule = Schedule(o, lr.CosineAnnealingLR(o, 4))
    schedule.step()
    before = schedule.rates[0]
    schedule.slow_down(0.5)
    assert schedule.rates[0] == before * 0.5
    schedule.step()
    assert schedule.rates[0] == pytest.approx(0.25)


def test_a_tensor_rate_stays_the_same_tensor():
    o = torch.optim.Adam([torch.nn.Parameter(torch.ones(1))], lr=torch.tensor(1.0))
    held = o.param_groups[0]["lr"]
    schedule = Schedule(o, None, warmup=2)
    assert o.param_groups[0]["lr"] is held
    assert float(held) == 0.5
    schedule.step()
    assert float(held) == 1.0


INNER = {
    "none": lambda o: None,
    "cosine": lambda o: lr.CosineAnnealingLR(o, 9),
    "restarts": lambda o: lr.CosineAnnealingWarmRestarts(o, 3),
    "step": lambda o: lr.StepLR(o, 2),
    "multistep": lambda o: lr.MultiStepLR(o, [2, 5]),
    "exponential": lambda o: lr.ExponentialLR(o, 0.9),
    "polynomial": lambda o: lr.PolynomialLR(o, 9),
    "linear": lambda o: lr.LinearLR(o, total_iters=6),
    "constant": lambda o: lr.ConstantLR(o, total_iters=4),
    "lambda": lambda o: lr.LambdaLR(o, lambda step: 0.9**step),
    "onecycle": lambda o: lr.OneCycleLR(o, 1.0, total_steps=20),
    "cyclic": lambda o: lr.CyclicLR(o, 0.1, 1.0, step_size_up=3),
    "plateau": lambda o: lr.ReduceLROnPlateau(o, patience=0),
    "chained": lambda o: lr.SequentialLR(o, [lr.LinearLR(o), lr.CosineAnnealingLR(o, 5)], [4]),
}


@pytest.mark.parametrize("name", INNER)
@pytest.mark.parametrize("per_epoch", [False, True])
def test_it_goes_on_bit_for_bit(name, per_epoch):
    def make():
        o = torch.optim.SGD([torch.nn.Parameter(torch.ones(1))], lr=0.7, momentum=0.9)
        return o, Schedule(o, INNER[name](o), warmup=3, per_epoch=per_epoch)

    def run(schedule, steps):
        found = []
        for step in steps:
            schedule.optimizer.step()
            schedule.step()
            if step % 2:
                schedule.epoch(1.0 + step)
            found.append(schedule.rates)
        return found

    o, schedule = make()
    run(schedule, range(6))
    tensors = {}
    saved = pack(schedule.state_dict(), "s", tensors)
    groups = [{k: v for k, v in group.items() if k != "params"} for group in o.param_groups]
    groups = [dict(group) for group in groups]
    rest = run(schedule, range(6, 12))

    fresh, again = make()
    for group, old in zip(fresh.param_groups, groups, strict=True):
        group.update(old)
    again.load_state_dict(unpack(saved, tensors))
    assert run(again, range(6, 12)) == rest
