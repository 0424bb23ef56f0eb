import math
import time

import pytest

from zoo.engine.budget import Budget, ending


def test_without_a_limit_nothing_is_counted():
    budget = Budget(None, 7.0)
    time.sleep(0.01)
    assert (budget.spent, budget.left) == (0.0, math.inf)
    assert budget.fits(1e9)


def test_earlier_sittings_count():
    budget = Budget(60.0, 50.0)
    time.sleep(0.01)
    assert 50.0 < budget.spent < 55.0
    assert budget.left == pytest.approx(10.0, abs=5.0)
    assert budget.fits(1.0)
    assert not budget.fits(10.0)


@pytest.mark.parametrize(
    ("done", "batch", "said"),
    [
        (2, 6, "up after 2 of 5 epochs; with --epochs 2 the learning rate would"),
        (3, 4, "3 of 5 epochs, the last of them cut short at 4 of 6 batches; with --epochs 2 the"),
        (1, 4, "the time (90 s) is up after 1 of 5 epochs, the last of them cut short at 4 of 6"),
    ],
)
def test_what_is_said_at_the_end(done, batch, said):
    text = ending(90.0, done, 5, batch=batch, batches=6)
    assert said in text
    assert ("--epochs" in text) == (done > 1)
