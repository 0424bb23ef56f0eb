import pytest
import torch

from zoo.engine.finite import is_finite

KINDS = [torch.float32, torch.float64, torch.float16, torch.bfloat16, torch.float8_e5m2]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
def test_any_value_of_any_kind_that_is_not_finite_is_found(kind, value):
    odd = torch.arange(-50, 50).to(kind)
    assert is_finite(odd)
    odd[37] = float(value)
    assert not is_finite(odd)
    assert not is_finite(odd[37])


def test_nothing_is_finite():
    assert is_finite(torch.empty(0, 3))
    assert is_finite(torch.tensor(torch.finfo(torch.float32).max).expand(3))
