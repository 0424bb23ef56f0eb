"""zoo.engine.judging.answers: what is kept of each image, and of how many all outputs."""

import pytest
import torch
from outputs import recorded, some
from torch.nn import functional

from zoo.engine.evaluate import hits
from zoo.engine.judging import answers
from zoo.engine.judging.answers import Recorder

NAN = float("nan")


def test_columns_are_what_the_outputs_say():
    outputs, labels = some()
    order = torch.arange(53).flip(0)
    found = recorded(outputs, labels, order=order)
    shares = outputs.softmax(1)
    assert found.classes == 7
    assert torch.equal(found.labels.long(), labels)
    assert torch.equal(found.predicted.long(), outputs.argmax(1))
    assert torch.equal(found.indices.long(), order)
    torch.testing.assert_close(found.confidence, shares.amax(1))
    torch.testing.assert_close(
        found.losses, functional.cross_entropy(outputs, labels, reduction="none")
    )
    own = outputs.gather(1, labels[:, None])
    assert torch.equal(found.ranks.long(), (outputs > own).sum(1))
    assert torch.equal(found.right, outputs.argmax(1) == labels)
    assert torch.equal(found.logits, outputs)
    assert torch.equal(found.logit_labels, labels)


def test_counts_equal_scikit_learns():
    from sklearn.metrics import confusion_matrix

    outputs, labels = some()
    found = recorded(outputs, labels)
    matrix = confusion_matrix(labels, outputs.argmax(1), labels=range(7))
    assert found.confusion().tolist() == matrix.tolist()
    assert found.unanswered().tolist() == [0] * 7


def test_of_most_images_little_is_kept():
    outputs, labels = some()
    found = recorded(outputs, labels, closely=False)
    assert [len(t) for t in (found.labels, found.predicted, found.confidence)] == [53] * 3
    assert [len(t) for t in (found.indices, found.losses, found.ranks, found.logits)] == [0] * 4
    assert found.logits.shape == (0, 7)


def test_an_output_that_is_not_a_number_is_no_prediction():
    outputs = torch.tensor([[NAN, NAN], [1.0, NAN], [NAN, 1.0], [0.0, 1.0], [1.0, float("inf")]])
    labels = torch.tensor([0, 0, 1, 1, 1])
    found = recorded(outputs, labels)
    assert found.predicted.tolist() == [-1, -1, -1, 1, 1]
    assert found.void.tolist() == [True] * 3 + [False] * 2
    assert int(found.right.sum()) == int(hits(outputs, labels)[0]) == 2
    assert found.confusion().tolist() == [[0, 0], [0, 2]]
    assert found.unanswered().tolist() == [2, 1]
    assert found.confidence.isfinite().tolist() == [False, False, False, True, False]


def test_ties_are_decided_as_everywhere():
    outputs, labels = torch.zeros(6, 3), torch.tensor([0, 1, 2, 0, 1, 2])
    found = recorded(outputs, labels)
    assert found.predicted.tolist() == [0] * 6
    assert found.ranks.tolist() == [0, 1, 2, 0, 1, 2]
    assert int(found.right.sum()) == int(hits(outputs, labels)[0])


@pytest.mark.parametrize(("n", "most"), [(53, 10), (53, 52), (60, 20), (7, 7), (7, 9)])
def test_the_sample_is_spread_evenly_and_no_larger_than_said(monkeypatch, n, most):
    monkeypatch.setattr(answers, "SAMPLE", most)
    labels = torch.arange(n) % 5
    outputs = torch.arange(n).float()[:, None].expand(n, 5).contiguous()
    found = recorded(outputs, labels, order=torch.arange(n))
    kept = found.logits[:, 0].long()
    assert len(kept) == min(n, most)
    gaps = kept.diff()
    assert int(gaps.max() - gaps.min()) <= 1
    assert torch.equal(found.logit_labels, labels[kept])


def test_of_many_classes_fewer_images_are_kept(monkeypatch):
    monkeypatch.setattr(answers, "NUMBERS", 300 * 4)
    outputs, labels = some(40, 300)
    assert recorded(outputs, labels).logits.shape == (4, 300)


def test_nothing_to_tell():
    assert Recorder(0).answers() is None
    recorder = Recorder(2, closely=True)
    recorder.add(torch.zeros(2, 1), torch.zeros(2, 1), None)  # numbers, not classes
    assert recorder.answers() is None
