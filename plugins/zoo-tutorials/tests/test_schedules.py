"""The cosine as a LambdaLR: ends, middle, and the same as its formula."""

from __future__ import annotations

import pytest
import torch

from zoo_tutorials.schedules import lambda_cosine


def rates(total: int, floor: float) -> list[float]:
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    schedule = lambda_cosine(optimizer, total=total, floor=floor)
    seen = []
    for _ in range(total + 3):
        seen.append(schedule.get_last_lr()[0])
        optimizer.step()
        schedule.step()
    return seen


def test_it_falls_from_the_peak_to_the_floor_and_stays():
    seen = rates(total=10, floor=0.1)
    assert seen[0] == 0.5
    assert seen[5] == pytest.approx(0.5 * 0.55)
    assert seen[10:] == pytest.approx([0.05] * 3)
    assert seen == sorted(seen, reverse=True)


def test_with_floor_zero_it_is_torchs_cosine():
    optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.5)
    theirs = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, T_max=10)
    expected = []
    for _ in range(11):
        expected.append(theirs.get_last_lr()[0])
        optimizer.step()
        theirs.step()
    assert rates(total=10, floor=0.0)[:11] == pytest.approx(expected)
