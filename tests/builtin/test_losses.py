"""torch's losses by name: the same numbers as torch, and labels where torch wants rows."""

from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch.nn import functional

from zoo.builtin import losses
from zoo.plugin import UsageError

LABELS = torch.tensor([0, 2, 1, 2, 0])
ROWS = functional.one_hot(LABELS, 3).float()


@pytest.fixture
def logits():
    return torch.randn(5, 3, generator=torch.Generator().manual_seed(0))


def test_match_turns_labels_into_rows(logits):
    assert torch.equal(losses.match(logits, LABELS), ROWS)


def test_match_keeps_rows_and_takes_the_outputs_type(logits):
    matched = losses.match(logits.double(), ROWS)
    assert matched.dtype == torch.float64
    assert torch.equal(matched.float(), ROWS)


def test_match_brings_values_to_one_column():
    values = torch.tensor([1.5, 2.5])
    assert losses.match(torch.zeros(2, 1), values).tolist() == [[1.5], [2.5]]
    counts = torch.tensor([3, 4])
    assert losses.match(torch.zeros(2, 1), counts).tolist() == [[3.0], [4.0]]


@pytest.mark.parametrize("targets", [torch.zeros(5), torch.zeros(4).long(), torch.zeros(5, 2)])
def test_match_never_broadcasts(logits, targets):
    with pytest.raises(UsageError, match="cannot compare"):
        losses.match(logits, targets)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (losses.bce_with_logits(), nn.BCEWithLogitsLoss()),
        (losses.bce_with_logits(pos_weight=[1, 2, 3]),
         nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0, 3.0]))),
        (losses.multi_label_soft_margin(), nn.MultiLabelSoftMarginLoss()),
        (losses.mse(), nn.MSELoss()),
        (losses.mse(reduction="sum"), nn.MSELoss(reduction="sum")),
        (losses.l1(), nn.L1Loss()),
        (losses.smooth_l1(beta=0.5), nn.SmoothL1Loss(beta=0.5)),
        (losses.huber(delta=0.5), nn.HuberLoss(delta=0.5)),
        (losses.poisson_nll(full=True), nn.PoissonNLLLoss(full=True)),
    ],
    ids=lambda loss: str(loss).replace("\n", ""),
)  # fmt: skip
def test_labels_and_rows_give_torchs_number(logits, ours, theirs):
    expected = theirs(logits, ROWS)
    assert torch.equal(ours(logits, ROWS), expected)
    assert torch.equal(ours(logits, LABELS), expected)
    assert expected.shape == ()


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (losses.cross_entropy(), nn.CrossEntropyLoss()),
        (losses.cross_entropy(weight=[1, 2, 3], label_smoothing=0.1),
         nn.CrossEntropyLoss(torch.tensor([1.0, 2.0, 3.0]), label_smoothing=0.1)),
        (losses.nll(ignore_index=2), nn.NLLLoss(ignore_index=2)),
        (losses.multi_margin(p=2, margin=0.5), nn.MultiMarginLoss(p=2, margin=0.5)),
    ],
    ids=str,
)  # fmt: skip
def test_losses_of_labels_are_torchs_own(logits, ours, theirs):
    assert torch.equal(ours(logits, LABELS), theirs(logits, LABELS))


def test_cross_entropy_takes_soft_targets(logits):
    soft = ROWS * 0.7 + 0.1
    expected = -(soft * logits.log_softmax(1)).sum(1).mean()
    assert torch.allclose(losses.cross_entropy()(logits, soft), expected)


def test_bce_of_probabilities(logits):
    chances = logits.sigmoid()
    expected = losses.bce_with_logits()(logits, LABELS)
    assert torch.allclose(losses.bce()(chances, LABELS), expected)


def test_soft_margin_wants_signs(logits):
    expected = nn.SoftMarginLoss()(logits, ROWS * 2 - 1)
    assert torch.equal(losses.soft_margin()(logits, LABELS), expected)


def test_divergence_from_labels_is_the_cross_entropy(logits):
    expected = nn.CrossEntropyLoss()(logits, LABELS)
    assert torch.allclose(losses.kl_div()(logits, LABELS), expected)


def test_divergence_from_itself_is_zero(logits):
    assert losses.kl_div()(logits, logits.softmax(1)).abs() < 1e-6


def test_label_smoothing_spreads_over_all_classes(logits):
    expected = nn.BCEWithLogitsLoss()(logits, ROWS * 0.7 + 0.1)
    assert torch.allclose(losses.bce_with_logits(label_smoothing=0.3)(logits, LABELS), expected)


@pytest.mark.parametrize(
    "build",
    [losses.cross_entropy, losses.nll, losses.bce, losses.bce_with_logits, losses.mse,
     losses.multi_margin, losses.soft_margin, losses.huber],
)  # fmt: skip
def test_a_loss_is_one_number(build):
    with pytest.raises(UsageError, match="reduction is mean or sum"):
        build(reduction="none")


@pytest.mark.parametrize("reduction", ["mean", "none"])
def test_a_divergence_is_a_mean_over_images_or_a_sum(reduction):
    with pytest.raises(UsageError, match=f"batchmean or sum, not '{reduction}'"):
        losses.kl_div(reduction=reduction)


@pytest.mark.parametrize("wrong", [[1.0, -1.0], [0, 0], [1.0, math.inf], [math.nan, 1.0]])
def test_class_weights_are_numbers_from_0_on(wrong):
    with pytest.raises(UsageError, match="from 0 on, not all 0"):
        losses.cross_entropy(weight=wrong)


def test_bce_refuses_what_are_no_probabilities(logits):
    with pytest.raises(UsageError, match="takes probabilities, and the model gives -") as caught:
        losses.bce()(logits, LABELS)
    assert "bce-with-logits" in caught.value.hint
    assert torch.isnan(losses.bce()(logits * math.nan, LABELS))


def test_class_weights_move_with_the_loss():
    loss = losses.cross_entropy(weight=[1, 2, 3]).to("meta")
    assert loss.weight.device.type == "meta"


TORCHS = {
    "cross-entropy": (
        nn.CrossEntropyLoss,
        {"weight", "ignore_index", "reduction", "label_smoothing"},
    ),
    "l1": (nn.L1Loss, {"reduction"}),
    "smooth-l1": (nn.SmoothL1Loss, {"reduction", "beta"}),
    "mse": (nn.MSELoss, {"reduction"}),
}


@pytest.mark.parametrize("name", TORCHS)
def test_every_option_of_torchs_loss_can_be_reached(name):
    """All that torch's own class takes, except the two that it says not to use any more."""
    import inspect

    from zoo.core import registry

    kind, options = TORCHS[name]
    own = set(inspect.signature(kind).parameters) - {"size_average", "reduce"}
    assert own == options
    assert set(registry.load().find("loss", name).options) >= own
