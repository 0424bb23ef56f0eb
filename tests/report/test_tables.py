"""zoo.report.tables: numbers in rows."""

from dataclasses import replace
from xml.etree.ElementTree import fromstring

import pytest
import torch
from judged import drawn, judged

from zoo.engine.evaluate import Evaluation
from zoo.engine.judging.judgement import Judgement
from zoo.engine.judging.robustness import Robustness
from zoo.report.intervals import resample
from zoo.report.tables import (
    LONG,
    SHOWN,
    class_table,
    headline,
    pair_table,
    robustness_table,
    table,
)


def cells(markup):
    """Rows of cells of each table."""
    tree = fromstring(f"<x>{markup}</x>".replace("\u00a0", " "))
    return [
        [["".join(cell.itertext()) for cell in row if cell.tag == "td"] for row in one.iter("tr")]
        for one in tree.iter("table")
    ]


def test_a_table():
    text = table(["a", "#b"], [("<", "1"), (None, "2")])
    assert text.count('class="n"') == 3
    assert cells(text) == [[[], ["<", "1"], ["", "2"]]]
    assert "<thead>" not in table(["", "#"], [("x", "1")])


def test_what_is_left_on_spoilt_images():
    found = Robustness(n=8, clean=0.9, spoilt={"blur": (0.875, 0.6, 0.1), "jpeg": (1.0, 0.5, 0.0)})
    text = robustness_table(found)
    assert text.index("mild") < text.index("medium") < text.index("strong")
    assert text.index("87.5") < text.index("60.0") < text.index("jpeg") < text.index("100.0")


def test_the_headline():
    found = judged([f"c{k}" for k in range(6)], *drawn(200, 6))
    (rows,) = cells(headline(found, resample(found.answers)))
    named = {row[0]: row[1:] for row in rows if row}
    assert set(named) == {"top-1", "top-5", "loss", "macro F1"}
    assert named["top-1"][0] == f"{100 * found.evaluation.top1:.1f} %"
    assert [named[key][2].partition(":")[0] for key in named] == [
        "Wilson", "Wilson", "bootstrap", "bootstrap",
    ]  # fmt: skip
    low, high = (float(x) for x in named["loss"][1].split(" to "))
    assert low < found.evaluation.loss < high


def test_top5_says_nothing_among_five_classes():
    found = judged("abcde", *drawn(50, 5))
    assert "top-5" not in headline(found, resample(found.answers))


def test_a_loss_that_is_another_has_no_interval_of_single_images():
    found = judged("abc", *drawn(50, 3))
    other = replace(found, evaluation=replace(found.evaluation, loss=7.0, metrics={"f1": 0.5}))
    (rows,) = cells(headline(other, resample(found.answers)))
    named = {row[0]: row[1:] for row in rows if row}
    assert named["loss"] == ["7.0000", "", ""]
    assert named["negative log-likelihood"][0] == f"{found.evaluation.loss:.4f}"
    assert named["f1"][0] == "0.5000"


def test_outputs_that_are_no_numbers():
    found = judged("ab", *drawn(20, 2, void=20))
    (rows,) = cells(headline(found, resample(found.answers)))
    assert [row[:2] for row in rows if row] == [
        ["top-1", "0.0 %"], ["loss", "not a number"], ["macro F1", "0.000"],
    ]  # fmt: skip


def test_without_class_targets_there_is_a_loss():
    found = Judgement(data="x", evaluation=Evaluation(n=3, loss=0.5), classes=(), counts={})
    assert cells(headline(found, None)) == [[[], ["loss", "0.5000", "", ""]]]


def test_classes_the_least_recognised_first_and_empty_ones_not_at_all():
    outputs, labels = drawn(80, 4)
    found = judged("abcd", outputs, labels.clamp(max=2))
    ((_, *rows),) = cells(class_table(found.scores))
    assert len(rows) == 3
    shares = [float(row[2].removesuffix(" %")) for row in rows]
    assert shares == sorted(shares)
    by_name = {score.name: score for score in found.scores}
    for row in rows:
        assert int(row[1]) == by_name[row[0]].n
        assert row[6] == f"{by_name[row[0]].f1:.3f}"


def test_a_class_that_nothing_was_taken_for_has_no_precision():
    outputs = torch.tensor([[1.0, 0.0]] * 4)
    found = judged("ab", outputs, torch.tensor([0, 0, 1, 1]))
    ((_, first, _),) = cells(class_table(found.scores))
    assert first[0] == "b"
    assert first[2] == "0.0 %"
    assert first[5] == "none"


@pytest.mark.parametrize("k", [LONG, LONG + 1])
def test_of_many_classes_the_first_are_shown_the_whole_on_request(k):
    labels = torch.arange(k).repeat(3)
    outputs = torch.nn.functional.one_hot(labels, k).float()
    found = cells(class_table(judged([f"c{n}" for n in range(k)], outputs, labels).scores))
    expected = [k + 1] if k == LONG else [SHOWN + 1, k + 1]
    assert [len(rows) for rows in found] == expected


def test_pairs():
    found = judged("abc", *drawn(90, 3))
    ((_, *rows),) = cells(pair_table(found.confused(2)))
    assert len(rows) == 2
    first = found.confused(2)[0]
    assert rows[0] == [first.true, first.predicted, str(first.n), f"{100 * first.share:.1f} %"]
