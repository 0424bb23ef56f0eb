import pytest
import torch

from zoo.builtin.policies import after_it, probability
from zoo.builtin.transforms import Standard
from zoo.plugin import InputSpec, UsageError

SMALL = InputSpec(size=(3, 32, 48), resize=40, crop=32)


def test_erasing():
    torch.manual_seed(0)
    white = torch.full((3, 60, 80), 255, dtype=torch.uint8)
    erased = [bool((Standard(SMALL, erase=1.0)(white) == 0).any()) for _ in range(10)]
    assert all(erased)
    both = Standard(SMALL, policy="randaugment", erase=1.0, magnitude=3)
    assert both(white).shape == (3, 32, 48)


def test_nothing_asked_for_is_nothing():
    assert after_it("none", 9, 0.0) is None
    with pytest.raises(UsageError, match="policy 'magic' is unknown") as caught:
        after_it("magic", 9, 0.0)
    assert "trivialaugment" in caught.value.hint


@pytest.mark.parametrize("value", [-0.1, 1.1])
def test_a_probability_is_from_0_to_1(value):
    with pytest.raises(UsageError, match="erase must be from 0 to 1"):
        probability("erase", value)
    assert probability("erase", 0.5) == 0.5


def test_what_a_policy_draws_is_its_own():
    """The numbers of the part are drawn in any case, so that a policy's are those behind them."""
    image = torch.randint(0, 256, (3, 60, 80), dtype=torch.uint8)
    transform = Standard(SMALL, policy="trivialaugment")
    torch.manual_seed(1)
    numbers = torch.rand(23)
    state = torch.get_rng_state()
    torch.manual_seed(1)
    shown = transform(image, numbers)
    torch.set_rng_state(state)
    assert torch.equal(transform.after(transform.given(image, numbers)), shown)
