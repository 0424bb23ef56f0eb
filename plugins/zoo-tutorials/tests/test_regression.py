"""Linear regression end to end, and hand-written losses against torch's."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from zoo_tutorials.regression import Linear, my_mse, regress


def line(count: int = 100) -> tuple[torch.Tensor, torch.Tensor]:
    """y = 3 x - 2 with a little noise."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(count, 1, generator=generator) * 4 - 2
    return x, 3 * x - 2 + 0.01 * torch.randn(count, 1, generator=generator)


def test_my_mse_is_torchs():
    outputs, targets = torch.randn(7, 3), torch.randn(7, 3)
    torch.testing.assert_close(my_mse(outputs, targets), nn.MSELoss()(outputs, targets))


def test_regress_sums_over_samples_targets_and_dimensions():
    outputs, targets = torch.randn(4, 3), torch.randn(4, 5, 3)
    expected = sum(
        float((outputs[n, d] - targets[n, m, d]) ** 2)
        for n in range(4)
        for m in range(5)
        for d in range(3)
    )
    loss = regress(outputs, targets)
    assert loss.shape == ()
    assert float(loss) == pytest.approx(expected, rel=1e-5)


def test_gradient_of_regress_points_to_the_mean_of_the_targets():
    targets = torch.randn(1, 6, 2)
    outputs = targets.mean(dim=1).requires_grad_()
    regress(outputs, targets).backward()
    torch.testing.assert_close(outputs.grad, torch.zeros(1, 2), atol=1e-5, rtol=0)


def test_a_line_is_found_again():
    x, y = line()
    model = Linear()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    for _ in range(200):
        optimizer.zero_grad()
        my_mse(model(x), y).backward()
        optimizer.step()
    assert model.linear.weight.item() == pytest.approx(3, abs=0.02)
    assert model.linear.bias.item() == pytest.approx(-2, abs=0.02)


OPTIMIZERS = {
    "SGD": lambda p: torch.optim.SGD(p, lr=0.02),
    "Momentum": lambda p: torch.optim.SGD(p, lr=0.02, momentum=0.9),
    "RMSprop": lambda p: torch.optim.RMSprop(p, lr=0.02),
    "Adam": lambda p: torch.optim.Adam(p, lr=0.05),
}


def compare(steps: int) -> dict[str, float]:
    """Loss of a small net on y = x^2 after some steps, by optimizer, from the same start."""
    generator = torch.Generator().manual_seed(1)
    x = torch.linspace(-1, 1, 200).unsqueeze(1)
    y = x**2 + 0.1 * torch.randn(x.shape, generator=generator)
    losses = {}
    for name, make in OPTIMIZERS.items():
        torch.manual_seed(0)
        net = nn.Sequential(nn.Linear(1, 20), nn.ReLU(), nn.Linear(20, 1))
        optimizer = make(net.parameters())
        for _ in range(steps):
            optimizer.zero_grad()
            loss = my_mse(net(x), y)
            loss.backward()
            optimizer.step()
        losses[name] = my_mse(net(x), y).item()
    return losses


def test_four_optimizers_on_one_problem():
    losses = compare(steps=100)
    assert all(loss < 0.1 for loss in losses.values()), losses
    assert losses["Momentum"] < losses["SGD"]
    assert losses["Adam"] < losses["SGD"]
    assert losses["RMSprop"] < losses["SGD"]
