"""Metrics against scikit-learn, whatever the batches, and at the edges."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn import metrics as oracle

from zoo.builtin import metrics
from zoo.plugin import Metric, UsageError

EVERY = [
    metrics.TopK, metrics.Precision, metrics.Recall, metrics.F1, metrics.Jaccard,
    metrics.BalancedAccuracy, metrics.WorstClass, metrics.CohenKappa, metrics.Matthews,
    metrics.PerClass, metrics.Confusion, metrics.LogLoss, metrics.Brier, metrics.CalibrationError,
]  # fmt: skip


def some(images=97, classes=6, seed=0):
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(0, classes - 1, (images,), generator=generator)  # the last never occurs
    outputs = torch.randn(images, classes, generator=generator) * 2
    outputs[torch.arange(images), labels] += 1.5
    return outputs, labels


def measure(metric, outputs, labels, size=97):
    for start in range(0, len(outputs), size):
        metric.update(outputs[start : start + size], labels[start : start + size])
    return metric.compute()


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("average", ["macro", "weighted", "micro"])
@pytest.mark.parametrize(
    ("kind", "theirs"),
    [
        (metrics.Precision, oracle.precision_score),
        (metrics.Recall, oracle.recall_score),
        (metrics.F1, oracle.f1_score),
        (metrics.Jaccard, oracle.jaccard_score),
    ],
)
def test_averages_are_scikit_learns(kind, theirs, average, seed):
    outputs, labels = some(seed=seed)
    expected = theirs(labels, outputs.argmax(1), average=average, zero_division=0)
    assert measure(kind(average=average), outputs, labels) == pytest.approx(expected)


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("metric", "theirs"),
    [
        (metrics.TopK(), lambda y, o: oracle.accuracy_score(y, o.argmax(1))),
        (metrics.TopK(k=3), lambda y, o: oracle.top_k_accuracy_score(y, o, k=3, labels=range(6))),
        (metrics.CohenKappa(), lambda y, o: oracle.cohen_kappa_score(y, o.argmax(1))),
        (metrics.CohenKappa(weights="quadratic"),
         lambda y, o: oracle.cohen_kappa_score(y, o.argmax(1), weights="quadratic")),
        (metrics.CohenKappa(weights="linear"),
         lambda y, o: oracle.cohen_kappa_score(y, o.argmax(1), weights="linear")),
        (metrics.Matthews(), lambda y, o: oracle.matthews_corrcoef(y, o.argmax(1))),
        (metrics.LogLoss(), lambda y, o: oracle.log_loss(y, o.double().softmax(1),
                                                         labels=range(6))),
        (metrics.Brier(), lambda y, o: oracle.brier_score_loss(
            y, o.double().softmax(1), labels=range(6), scale_by_half=False)),
    ],
    ids=lambda value: type(value).__name__,
)  # fmt: skip
def test_numbers_are_scikit_learns(metric, theirs, seed):
    outputs, labels = some(seed=seed)
    metric.reset()
    assert measure(metric, outputs, labels) == pytest.approx(theirs(labels, outputs))


def test_balanced_accuracy_is_scikit_learns():
    outputs, labels = some()
    outputs[:, 5] = -9.0  # scikit-learn warns of predictions that are no label
    expected = oracle.balanced_accuracy_score(labels, outputs.argmax(1))
    assert measure(metrics.BalancedAccuracy(), outputs, labels) == pytest.approx(expected)


def test_per_class_and_worst_class_follow_the_confusion_matrix():
    outputs, labels = some()
    matrix = oracle.confusion_matrix(labels, outputs.argmax(1), labels=range(6))
    recalls = {str(k): matrix[k, k] / matrix[k].sum() for k in range(5)}
    assert measure(metrics.PerClass(), outputs, labels) == pytest.approx(recalls)
    assert measure(metrics.WorstClass(), outputs, labels) == pytest.approx(min(recalls.values()))
    cells = measure(metrics.Confusion(), outputs, labels)
    assert cells == {f"{i}>{j}": matrix[i, j] for i in range(6) for j in range(6) if matrix[i, j]}


def test_calibration_error_by_hand():
    outputs = torch.tensor([[0.8, 0.2], [0.8, 0.2], [0.3, 0.7]]).log()
    labels = torch.tensor([0, 1, 1])
    error = measure(metrics.CalibrationError(bins=10), outputs, labels)
    assert error == pytest.approx((2 * abs(0.8 - 0.5) + abs(0.7 - 1.0)) / 3)


def test_calibration_error_of_honest_guesses_is_small():
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(20_000, 4, generator=generator)
    labels = torch.multinomial(outputs.softmax(1), 1, generator=generator).squeeze(1)
    assert measure(metrics.CalibrationError(), outputs, labels) < 0.015
    assert measure(metrics.CalibrationError(), outputs * 4, labels) > 0.3


@pytest.mark.parametrize("kind", EVERY)
def test_batches_do_not_matter_and_reset_forgets(kind):
    outputs, labels = some()
    metric = kind(6)
    assert isinstance(metric, Metric)
    whole = measure(metric, outputs, labels)
    metric.reset()
    assert measure(metric, outputs, labels, size=10) == pytest.approx(whole)
    metric.reset()
    assert metric.counts is None
    assert math.isnan(metric.compute())


@pytest.mark.parametrize("kind", EVERY)
def test_counts_add_up_over_processes(kind):
    outputs, labels = some()
    one, other, both = kind(), kind(), kind()
    whole = measure(both, outputs, labels)
    measure(one, outputs[:40], labels[:40])
    measure(other, outputs[40:], labels[40:])
    one.counts = one.counts + other.counts
    assert one.compute() == pytest.approx(whole)


@pytest.mark.parametrize("kind", EVERY)
def test_soft_targets_and_half_precision_are_taken(kind):
    outputs, labels = some()
    rows = torch.nn.functional.one_hot(labels, 6) * 0.8 + 0.1
    outputs = outputs.bfloat16().requires_grad_()
    assert measure(kind(), outputs, rows) == pytest.approx(measure(kind(), outputs, labels))


def test_top_k_is_at_most_all_classes():
    assert measure(metrics.TopK(k=5), *some(classes=3)) == 1.0


@pytest.mark.parametrize("kind", [metrics.CohenKappa, metrics.Matthews])
def test_one_class_alone_is_no_agreement(kind):
    outputs = torch.tensor([[1.0, 0.0]]).repeat(4, 1)
    assert measure(kind(), outputs, torch.zeros(4).long()) == 0.0


@pytest.mark.parametrize(
    "build",
    [
        lambda: metrics.TopK(k=0),
        lambda: metrics.F1(average="samples"),
        lambda: metrics.CohenKappa(weights="cubic"),
        lambda: metrics.CalibrationError(bins=0),
    ],
)
def test_options_out_of_range_are_refused(build):
    with pytest.raises(UsageError):
        build()
