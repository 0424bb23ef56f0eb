"""zoo.engine.judging.classwise: each class by itself, against scikit-learn and by hand."""

import pytest
import torch

from zoo.engine.judging.classwise import class_names, macro_f1, most_confused, score_classes


def matrix(labels, predicted, k):
    return torch.bincount(labels * k + predicted, minlength=k * k).view(k, k)


@pytest.mark.parametrize("k", [1, 2, 7, 300])
def test_numbers_equal_scikit_learns(k):
    from sklearn.metrics import f1_score, precision_recall_fscore_support

    generator = torch.Generator().manual_seed(k)
    labels = torch.randint(k, (400,), generator=generator)
    other = torch.randint(k, (400,), generator=generator)
    predicted = torch.where(torch.rand(400, generator=generator) < 0.7, labels, other)
    scores = score_classes([f"c{i}" for i in range(k)], matrix(labels, predicted, k))
    expected = precision_recall_fscore_support(labels, predicted, labels=range(k), zero_division=0)
    for score, p, r, f, n in zip(scores, *expected, strict=True):
        assert score.n == n
        if n:
            assert score.recall == pytest.approx(r)
            assert score.f1 == pytest.approx(f)
            assert (score.precision or 0) == pytest.approx(p)
        else:
            assert (score.recall, score.precision, score.f1) == (None, None, None)
    assert macro_f1(scores) == pytest.approx(f1_score(labels, predicted, average="macro"))


def test_what_cannot_be_said_is_not_said():
    confusion = torch.tensor([[2, 1, 0, 1], [0, 0, 0, 0], [3, 0, 0, 0], [0, 0, 0, 1]])
    first, empty, never, last = score_classes(["a", "b", "c", "d"], confusion)
    assert (first.n, first.right, first.predicted) == (4, 2, 5)
    assert (first.recall, first.precision) == (0.5, 0.4)
    assert (empty.n, empty.recall, empty.precision, empty.f1) == (0, None, None, None)
    assert (never.recall, never.precision, never.f1) == (0.0, None, 0.0)
    assert (last.recall, last.precision) == (1.0, 0.5)
    assert macro_f1([empty]) == 0.0  # predicted, and wrong each time
    assert macro_f1(score_classes("ab", torch.zeros(2, 2, dtype=torch.int64))) is None


def test_images_without_a_prediction_count_for_their_class():
    confusion = torch.tensor([[2, 0], [0, 1]])
    one, two = score_classes(["a", "b"], confusion, torch.tensor([2, 1]))
    assert (one.n, one.recall, one.precision) == (4, 0.5, 1.0)
    assert (two.n, two.recall) == (2, 0.5)


def test_the_most_confused_pairs_by_count_then_by_share():
    confusion = torch.tensor([[90, 3, 2], [3, 1, 0], [0, 5, 5]])
    scores = score_classes(["a", "b", "c"], confusion)
    found = most_confused(scores, confusion, 10)
    assert [(p.true, p.predicted, p.n) for p in found] == [
        ("c", "b", 5), ("b", "a", 3), ("a", "b", 3), ("a", "c", 2),
    ]  # fmt: skip
    assert found[0].share == 0.5
    assert found[1].share == 0.75
    assert most_confused(scores, confusion, 1) == found[:1]
    assert most_confused(scores, torch.eye(3, dtype=torch.int64), 5) == ()
    assert confusion.diagonal().tolist() == [90, 1, 5]  # as it was


def test_an_output_without_a_name_goes_by_its_number():
    assert class_names(["a", "b"], 3) == ("a", "b", "2")
    assert class_names(["a", "b", "c"], 2) == ("a", "b")
