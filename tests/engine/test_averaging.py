"""Losses of batches add up to the loss of all of them, whatever the loss divides by."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch.nn import functional

from zoo.builtin import losses, soft_losses
from zoo.engine.averaging import Averaging

WEIGHTS = [1.0, 0.2, 7.0]


@pytest.fixture
def logits():
    return torch.randn(9, 3, generator=torch.Generator().manual_seed(0))


LABELS = torch.tensor([0, 0, 1, 1, 1, 2, 0, 1, 2])


def put_together(loss, logits, targets):
    how = Averaging(loss)
    pieces = list(zip(logits.split([4, 3, 2]), targets.split([4, 3, 2]), strict=True))
    total = sum(how.loss(x, y) for x, y in pieces)
    return total / sum(how.divisor(x, y) for x, y in pieces)


@pytest.mark.parametrize(
    "loss",
    [
        losses.cross_entropy(weight=WEIGHTS),
        losses.cross_entropy(weight=WEIGHTS, label_smoothing=0.3, ignore_index=1),
        losses.cross_entropy(ignore_index=0),
        losses.nll(weight=WEIGHTS),
    ],
    ids=str,
)
def test_weighted_means_add_up_to_torchs(logits, loss):
    assert torch.allclose(put_together(loss, logits, LABELS), loss(logits, LABELS))
    assert loss.reduction == "mean"


def test_soft_targets_count_as_images(logits):
    soft = functional.one_hot(LABELS, 3) * 0.8 + 0.2 / 3
    loss = losses.cross_entropy(weight=WEIGHTS)
    assert torch.allclose(put_together(loss, logits, soft), loss(logits, soft))


def test_a_batch_whose_labels_weigh_nothing_adds_nothing(logits):
    loss = losses.cross_entropy(weight=[0.0, 1.0, 0.0])
    how = Averaging(loss)
    here = logits[:2].clone().requires_grad_()
    found = how.loss(here, LABELS[:2])
    found.backward()
    assert (float(found.detach()), float(how.divisor(here, LABELS[:2]))) == (0.0, 0.0)
    assert torch.equal(here.grad, torch.zeros(2, 3))
    assert torch.isnan(loss(logits[:2], LABELS[:2]))


@pytest.mark.parametrize(
    "loss",
    [
        losses.cross_entropy(),
        losses.bce_with_logits(weight=WEIGHTS),
        losses.multi_margin(weight=WEIGHTS),
        soft_losses.Focal(weight=WEIGHTS),
        losses.kl_div(),
        functional.cross_entropy,
    ],
    ids=lambda loss: getattr(loss, "__name__", str(loss).replace("\n", "")),
)
def test_means_over_images_stay_what_they_are(logits, loss):
    how = Averaging(loss)
    assert how.loss is loss
    assert not how.weighed
    assert not how.summed
    assert float(how.divisor(logits, LABELS)) == 9


@pytest.mark.parametrize(
    "loss",
    [
        losses.cross_entropy(reduction="sum", weight=WEIGHTS),
        losses.mse(reduction="sum"),
        losses.kl_div(reduction="sum"),
        soft_losses.Poly1(reduction="sum"),
    ],
    ids=lambda loss: str(loss).replace("\n", ""),
)
def test_a_sum_is_known_as_one(logits, loss):
    how = Averaging(loss)
    assert (how.summed, how.weighed) == (True, False)
    assert torch.allclose(put_together(loss, logits, LABELS), loss(logits, LABELS) / 9)


class Own(nn.CrossEntropyLoss):
    """Somebody's, whose mean is their own affair."""


def test_what_is_derived_is_taken_as_it_is():
    own = Own(weight=torch.tensor(WEIGHTS))
    assert Averaging(own).loss is own
