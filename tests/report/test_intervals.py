"""zoo.report.intervals: Wilson's, and the percentiles of drawing again."""

import pytest
import torch
from judged import drawn
from outputs import recorded

from zoo.engine.judging.classwise import macro_f1, score_classes
from zoo.report import intervals
from zoo.report.intervals import resample, wilson


def test_wilson_by_hand():
    assert wilson(0, 0) == (0.0, 1.0)
    assert wilson(8, 10) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert wilson(10, 10) == pytest.approx((0.7225, 1.0), abs=1e-4)
    assert wilson(0, 10) == pytest.approx((0.0, 0.2775), abs=1e-4)


def test_the_bootstrap_draws_images_and_computes_anew(monkeypatch):
    """The same draws by hand, with scikit-learn's F1."""
    from sklearn.metrics import f1_score

    monkeypatch.setattr(intervals, "DRAWS", 200)
    outputs, labels = drawn(60, 5)
    found = resample(recorded(outputs, labels))
    predicted, losses = outputs.argmax(1), recorded(outputs, labels).losses.double()
    generator = torch.Generator().manual_seed(intervals.SEED)
    values, means = [], []
    for _ in range(intervals.DRAWS):
        rows = torch.randint(60, (60,), generator=generator)
        values.append(f1_score(labels[rows], predicted[rows], average="macro"))
        means.append(float(losses[rows].mean()))
    ends = torch.tensor([0.025, 0.975], dtype=torch.float64)
    expected = torch.quantile(torch.tensor(values, dtype=torch.float64), ends)
    assert found.macro_f1 == pytest.approx(expected.tolist())
    expected = torch.quantile(torch.tensor(means, dtype=torch.float64), ends)
    assert found.loss == pytest.approx(expected.tolist())
    assert found.draws == 200


def test_the_interval_holds_the_value_and_shrinks_with_images():
    widths = []
    for n in (50, 800):
        answers = recorded(*drawn(n, 4))
        value = macro_f1(score_classes("abcd", answers.confusion()))
        low, high = resample(answers).macro_f1
        assert low < value < high
        widths.append(high - low)
    assert widths[1] < widths[0] / 2


def test_draws_are_the_same_each_time_and_nobody_elses():
    answers = recorded(*drawn(30, 3))
    before = torch.get_rng_state()
    assert resample(answers) == resample(answers)
    assert torch.equal(before, torch.get_rng_state())


def test_outputs_that_are_no_numbers():
    outputs, labels = drawn(40, 3, void=4)
    found = resample(recorded(outputs, labels))
    assert found.loss is None
    assert 0 < found.macro_f1[0] < found.macro_f1[1] < 1
    assert resample(recorded(*drawn(5, 2, void=5))).macro_f1 == (0.0, 0.0)


def test_one_class_and_one_image():
    outputs, labels = torch.zeros(1, 1), torch.zeros(1, dtype=torch.int64)
    assert resample(recorded(outputs, labels)).macro_f1 == (1.0, 1.0)


def test_of_very_many_images_there_are_fewer_draws(monkeypatch):
    monkeypatch.setattr(intervals, "_WORK", 30 * 300)
    assert resample(recorded(*drawn(30, 3))).draws == 300
    monkeypatch.setattr(intervals, "_WORK", 1)
    assert resample(recorded(*drawn(30, 3))).draws == 200
