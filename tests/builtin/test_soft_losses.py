"""Losses that torch does not have, against their formulas and limits."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from zoo.builtin.soft_losses import Focal, GeneralizedCrossEntropy, Poly1, SymmetricCrossEntropy
from zoo.plugin import UsageError

LABELS = torch.tensor([0, 2, 1, 2, 0])
ALL = [Focal(), Focal(gamma=0.5), Poly1(), GeneralizedCrossEntropy(), SymmetricCrossEntropy()]


@pytest.fixture
def logits():
    generator = torch.Generator().manual_seed(0)
    return torch.randn(5, 3, generator=generator, dtype=torch.float64)


def truth(logits):
    return logits.softmax(1)[torch.arange(5), LABELS]


def test_focal_is_its_formula(logits):
    p = truth(logits)
    expected = -((1 - p) ** 2 * p.log()).mean()
    assert torch.allclose(Focal()(logits, LABELS), expected)


def test_poly1_is_its_formula(logits):
    p = truth(logits)
    assert torch.allclose(Poly1(epsilon=3)(logits, LABELS), (3 * (1 - p) - p.log()).mean())


def test_generalized_is_its_formula(logits):
    p = truth(logits)
    expected = ((1 - p**0.7) / 0.7).mean()
    assert torch.allclose(GeneralizedCrossEntropy()(logits, LABELS), expected)


def test_symmetric_is_its_formula(logits):
    p = truth(logits)
    expected = (-0.1 * p.log() + 4 * (1 - p)).mean()
    assert torch.allclose(SymmetricCrossEntropy()(logits, LABELS), expected)


@pytest.mark.parametrize(
    "loss",
    [Focal(gamma=0), Poly1(epsilon=0), GeneralizedCrossEntropy(q=1e-9),
     SymmetricCrossEntropy(alpha=1, beta=0)],
)  # fmt: skip
def test_the_limit_is_the_cross_entropy(logits, loss):
    soft = functional.one_hot(LABELS, 3) * 0.7 + 0.1
    for targets in (LABELS, soft):
        assert torch.allclose(loss(logits, targets), functional.cross_entropy(logits, targets))


@pytest.mark.parametrize("loss", [Focal(gamma=0), Poly1(epsilon=0)])
def test_label_smoothing_is_torchs(logits, loss):
    loss.label_smoothing = 0.2
    expected = functional.cross_entropy(logits, LABELS, label_smoothing=0.2)
    assert torch.allclose(loss(logits, LABELS), expected)
    loss.label_smoothing = 0.0


@pytest.mark.parametrize("kind", [Focal, Poly1, GeneralizedCrossEntropy])
def test_class_weights_multiply_each_image(logits, kind):
    weights = torch.tensor([1.0, 2.0, 3.0])
    each = [kind()(logits[i : i + 1], LABELS[i : i + 1]) for i in range(5)]
    expected = sum(w * loss for w, loss in zip(weights[LABELS], each, strict=True)) / 5
    assert torch.allclose(kind(weight=[1, 2, 3])(logits, LABELS), expected)


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: type(loss).__name__)
def test_gradients_are_right(logits, loss):
    assert torch.autograd.gradcheck(lambda x: loss(x, LABELS), logits.requires_grad_())


@pytest.mark.parametrize("loss", ALL, ids=lambda loss: type(loss).__name__)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_certainty_gives_finite_gradients(loss, dtype):
    logits = torch.tensor([[500.0, -500.0], [500.0, -500.0]], dtype=dtype, requires_grad=True)
    value = loss(logits, torch.tensor([0, 1]))
    value.backward()
    assert value.dtype == torch.float32
    assert value.isfinite()
    assert logits.grad.isfinite().all()


def test_the_sum_is_n_times_the_mean(logits):
    assert torch.allclose(Focal(reduction="sum")(logits, LABELS), 5 * Focal()(logits, LABELS))


@pytest.mark.parametrize(
    "build",
    [lambda: Focal(gamma=-1), lambda: GeneralizedCrossEntropy(q=0),
     lambda: GeneralizedCrossEntropy(q=1.5), lambda: Poly1(reduction="none")],
)  # fmt: skip
def test_numbers_out_of_range_are_refused(build):
    with pytest.raises(UsageError):
        build()
