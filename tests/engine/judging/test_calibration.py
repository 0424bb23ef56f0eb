"""zoo.engine.judging.calibration: bins, error and temperature, against scikit-learn and by hand."""

import math

import pytest
import torch
from outputs import recorded, some
from torch.nn import functional

from zoo.engine.judging.calibration import calibrate, error_of, fit_temperature, reliability


def drawn(n=4000, k=5, temperature=2.0, seed=0):
    """Outputs that are ``temperature`` times too sure: labels are drawn from what they should be."""
    generator = torch.Generator().manual_seed(seed)
    true = 1.5 * torch.randn(n, k, generator=generator)
    labels = torch.multinomial(true.softmax(1), 1, generator=generator)[:, 0]
    return true * temperature, labels


def test_bins_and_error_equal_scikit_learns():
    from sklearn.calibration import calibration_curve

    outputs, labels = drawn(500)
    confidence = outputs.double().softmax(1).amax(1)
    right = outputs.argmax(1) == labels
    bins = reliability(confidence, right)
    share, mean = calibration_curve(right, confidence, n_bins=15, strategy="uniform")
    full = [one for one in bins if one.n]
    assert len(bins) == 15
    assert sum(one.n for one in bins) == 500
    assert [one.accuracy for one in full] == pytest.approx(share.tolist())
    assert [one.confidence for one in full] == pytest.approx(mean.tolist())
    expected = sum(one.n * abs(a - c) for one, a, c in zip(full, share, mean, strict=True)) / 500
    assert error_of(bins) == pytest.approx(expected)


def test_bins_by_hand():
    confidence = torch.tensor([1.0, 0.999, 0.5, 1 / 15], dtype=torch.float64)
    bins = reliability(confidence, torch.tensor([1, 0, 1, 0]).bool())
    assert [one.n for one in bins] == [1, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 2]
    assert bins[14].accuracy == 0.5
    assert math.isnan(bins[3].accuracy)
    assert (bins[0].low, bins[-1].high) == (0.0, 1.0)
    assert error_of(bins) == pytest.approx((1 / 15 + 0.5 + abs(1.999 - 1)) / 4, abs=1e-6)
    assert error_of(()) == 0


@pytest.mark.parametrize("temperature", [0.4, 1.0, 3.0])
def test_the_temperature_is_found(temperature):
    outputs, labels = drawn(temperature=temperature)
    found = fit_temperature(outputs, labels)
    assert found.value == pytest.approx(temperature, rel=0.06)
    best = float(functional.cross_entropy(outputs.double() / found.value, labels))
    assert found.nll_after == pytest.approx(best)
    assert found.nll == pytest.approx(float(functional.cross_entropy(outputs.double(), labels)))
    for other in (0.999, 1.001):
        worse = functional.cross_entropy(outputs.double() / (found.value * other), labels)
        assert float(worse) > best
    if temperature != 1:
        assert found.ece_after < found.ece / 2


def test_where_no_temperature_is_best_none_is_given():
    """All right: the surer the likelier. All wrong: the flatter the likelier."""
    labels = torch.arange(20) % 4
    right = functional.one_hot(labels, 4).float()
    for outputs in (5 * right, -5 * right):
        found = fit_temperature(outputs, labels)
        assert (found.value, found.nll_after, found.ece_after) == (None, None, None)
        assert math.isfinite(found.nll)
    assert fit_temperature(torch.zeros(20, 4), labels).value is None


def test_pieces_do_not_change_the_temperature(monkeypatch):
    from zoo.engine.judging import calibration

    outputs, labels = drawn(301)
    whole = fit_temperature(outputs, labels)
    monkeypatch.setattr(calibration, "_CHUNK", 50)
    small = fit_temperature(outputs, labels)
    assert small.value == pytest.approx(whole.value, rel=1e-6)
    assert small.nll_after == pytest.approx(whole.nll_after, rel=1e-9)
    assert small.ece == pytest.approx(whole.ece)


def test_large_outputs_overflow_nothing():
    outputs, labels = drawn(400, temperature=3000.0)
    found = fit_temperature(outputs, labels)
    assert found.value is None  # above 100
    assert math.isfinite(found.nll)
    found = fit_temperature(outputs / 100, labels)
    assert found.value == pytest.approx(30, rel=0.2)


def test_the_error_that_chance_alone_gives():
    """True probabilities: the error found is about what chance gives, and falls with images."""
    few, many = (calibrate(recorded(*drawn(n, temperature=1.0))) for n in (100, 10_000))
    assert few.ece == pytest.approx(few.chance, rel=0.6)
    assert many.chance < few.chance / 4
    sure = calibrate(recorded(*drawn(4000, temperature=3.0)))
    assert sure.ece > 5 * sure.chance
    assert sure.confidence > sure.accuracy


def test_images_without_a_probability_are_left_out():
    outputs, labels = some(60)
    outputs[:10] = float("nan")
    outputs[10, 0] = float("inf")
    found = calibrate(recorded(outputs, labels))
    assert found.n == 49
    assert found.temperature.n == 49
    assert found.ece == pytest.approx(calibrate(recorded(outputs[11:], labels[11:])).ece)
    assert calibrate(recorded(torch.full((4, 3), float("nan")), labels[:4] % 3)) is None


def test_one_class_is_always_sure():
    assert calibrate(recorded(torch.randn(5, 1), torch.zeros(5, dtype=torch.int64))) is None


def test_without_outputs_there_is_no_temperature():
    found = calibrate(recorded(*some(), closely=False))
    assert found.temperature is None
    assert set(found.to_dict()) == {"n", "bins", "ece", "ece_by_chance", "confidence"}
    more = calibrate(recorded(*some())).to_dict()
    assert {"temperature", "temperature_n", "ece_after"} < set(more)


def test_a_class_that_is_ruled_out_costs_nothing():
    outputs, labels = drawn(300, temperature=3.0)
    wider = torch.cat([outputs, torch.full((300, 1), -float("inf"))], 1)
    found, plain = (calibrate(recorded(each, labels)) for each in (wider, outputs))
    assert found.n == found.temperature.n == 300
    assert found.temperature.value == pytest.approx(plain.temperature.value)
    assert found.temperature.ece_after == pytest.approx(plain.temperature.ece_after)
