"""Lion, Lamb and Muon against their formulas, torch's optimizers, and a small network."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from zoo.builtin.optimizers import Lamb, Lion, Muon, orthogonal
from zoo.plugin import UsageError


def network():
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)
    )


def batch():
    generator = torch.Generator().manual_seed(1)
    return torch.randn(12, 1, 8, 8, generator=generator), torch.arange(12) % 3


def train(model, optimizer, steps):
    images, labels = batch()
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(images), labels)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return losses


@pytest.mark.parametrize(("kind", "lr"), [(Lion, 0.003), (Lamb, 0.05), (Muon, 0.03)])
def test_the_loss_falls(kind, lr):
    model = network()
    losses = train(model, kind(model.parameters(), lr=lr), 30)
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize("kind", [Lion, Lamb, Muon])
def test_a_saved_state_goes_on_to_the_digit(kind):
    straight = network()
    optimizer = kind(straight.parameters(), lr=0.01, weight_decay=0.1)
    train(straight, optimizer, 3)
    resumed, state = copy.deepcopy(straight), copy.deepcopy(optimizer.state_dict())
    train(straight, optimizer, 3)
    again = kind(resumed.parameters(), lr=0.5)
    again.load_state_dict(state)
    train(resumed, again, 3)
    for one, other in zip(straight.parameters(), resumed.parameters(), strict=True):
        assert torch.equal(one, other)


@pytest.mark.parametrize("kind", [Lion, Lamb, Muon])
def test_what_has_no_gradient_stays(kind):
    model = network()
    model[0].requires_grad_(False)
    before = model[0].weight.clone()
    optimizer = kind(model.parameters(), lr=0.1, weight_decay=0.1)
    train(model, optimizer, 2)
    assert torch.equal(model[0].weight, before)
    assert len(optimizer.state) == 4


@pytest.mark.parametrize("kind", [Lion, Lamb, Muon])
def test_a_closure_is_evaluated(kind):
    weight = nn.Parameter(torch.ones(2))
    optimizer = kind([weight], lr=0.1)

    def closure():
        optimizer.zero_grad()
        loss = weight.square().sum()
        loss.backward()
        return loss

    assert optimizer.step(closure) == 2.0
    assert not torch.equal(weight.detach(), torch.ones(2))


def given(weight, gradients, optimizer):
    for gradient in gradients:
        weight.grad = gradient.clone()
        optimizer.step()
    return weight.detach()


def test_lion_is_its_formula():
    gradients = torch.randn(4, 5, generator=torch.Generator().manual_seed(0)).double()
    weight = nn.Parameter(torch.linspace(-1, 1, 5).double())
    value, momentum = weight.detach().clone(), torch.zeros(5).double()
    for gradient in gradients:
        direction = (0.8 * momentum + 0.2 * gradient).sign()
        value = value * (1 - 0.1 * 0.5) - 0.1 * direction
        momentum = 0.95 * momentum + 0.05 * gradient
    optimizer = Lion([weight], lr=0.1, betas=(0.8, 0.95), weight_decay=0.5)
    assert torch.allclose(given(weight, gradients, optimizer), value)


def test_lamb_moves_a_tensor_by_its_own_length():
    weight = nn.Parameter(torch.tensor([3.0, 4.0]))
    moved = given(weight, torch.tensor([[1.0, -2.0]]), Lamb([weight], lr=0.1))
    step = torch.tensor([3.0, 4.0]) - moved
    assert step.norm() == pytest.approx(0.5)
    assert step[0] == pytest.approx(-step[1].item())  # Adam's first step is a sign


def test_lamb_starts_from_zero_like_adam():
    gradients = torch.randn(3, 4, generator=torch.Generator().manual_seed(0))
    one, other = nn.Parameter(torch.zeros(4)), nn.Parameter(torch.zeros(4))
    given(one, gradients[:1], Lamb([one], lr=0.1))
    given(other, gradients[:1], torch.optim.Adam([other], lr=0.1))
    assert torch.allclose(one, other, atol=1e-5)


@pytest.mark.parametrize("shape", [(6, 6), (4, 9), (9, 4)])
def test_orthogonal_brings_singular_values_near_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0)).double()
    made = orthogonal(matrix)
    assert made.shape == matrix.shape
    values = torch.linalg.svdvals(made)
    assert values.min() > 0.6
    assert values.max() < 1.3
    u, _, v = torch.linalg.svd(matrix, full_matrices=False)
    assert torch.dist(made, u @ v) < 0.5 * torch.dist(matrix / matrix.norm(), u @ v)


def test_muon_agrees_with_torchs_on_matrices():
    gradients = torch.randn(5, 8, 16, generator=torch.Generator().manual_seed(0))
    start = torch.randn(8, 16, generator=torch.Generator().manual_seed(1))
    one, other = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    given(one, gradients, Muon([one], lr=0.01, weight_decay=0.1))
    theirs = torch.optim.Muon([other], lr=0.01, weight_decay=0.1, adjust_lr_fn="match_rms_adamw")
    given(other, gradients, theirs)
    ours_step, their_step = one.detach() - start, other.detach() - start
    assert torch.dist(ours_step, their_step) < 0.03 * their_step.norm()  # theirs is bfloat16


def test_muon_flattens_filters():
    gradient = torch.randn(1, 8, 16, generator=torch.Generator().manual_seed(0))
    matrix, filters = nn.Parameter(torch.zeros(8, 16)), nn.Parameter(torch.zeros(8, 4, 2, 2))
    given(matrix, gradient, Muon([matrix]))
    given(filters, gradient.reshape(1, 8, 4, 2, 2), Muon([filters]))
    assert torch.equal(matrix.reshape(8, 4, 2, 2), filters)


@pytest.mark.parametrize(("shape", "name"), [((7,), "body"), ((3, 7), "head/decay")])
def test_muon_is_adamw_for_vectors_and_the_head(shape, name):
    gradients = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0))
    start = torch.ones(shape)
    one, other = nn.Parameter(start.clone()), nn.Parameter(start.clone())
    given(one, gradients, Muon([{"params": [one], "name": name}], lr=0.01, weight_decay=0.2))
    given(other, gradients, torch.optim.AdamW([other], lr=0.01, weight_decay=0.2))
    assert torch.allclose(one, other, atol=1e-6)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        (Lion, {"lr": -1.0}),
        (Lion, {"betas": (0.9, 1.0)}),
        (Lamb, {"betas": (0.9,)}),
        (Muon, {"momentum": 1.0}),
        (Muon, {"ns_steps": 0}),
    ],
)
def test_numbers_out_of_range_are_refused(kind, options):
    with pytest.raises(UsageError):
        kind([nn.Parameter(torch.zeros(2))], **options)


@pytest.mark.parametrize("kind", [Lion, Lamb, Muon])
def test_sparse_gradients_are_refused(kind):
    table = nn.Embedding(4, 2, sparse=True)
    table(torch.tensor([1])).sum().backward()
    with pytest.raises(UsageError, match="sparse"):
        kind(table.parameters()).step()
