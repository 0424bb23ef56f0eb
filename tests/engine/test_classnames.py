"""zoo.engine.classnames: class names instead of indices, in eval and in a run's files."""

import json

import pytest
import torch
from short_runs import begun

import zoo
from zoo.core import registry
from zoo.engine.classnames import ByName, build_metrics, by_name

OUTPUTS = torch.eye(3)[[0, 1, 1, 2]]
TARGETS = torch.tensor([0, 1, 2, 2])


def measured(name, labels):
    (metric,) = build_metrics([name], registry.load(), 3, labels).values()
    metric.reset()
    metric.update(OUTPUTS, TARGETS)
    return metric.compute()


def test_numbers_of_a_class_go_by_its_name_also_where_that_is_a_number():
    assert measured("per-class", ("1", "10", "2")) == {"1": 1.0, "10": 1.0, "2": 0.5}
    assert measured("confusion", ("1", "10", "2")) == {"1>1": 1, "10>10": 1, "2>10": 1, "2>2": 1}


def test_classes_without_a_name_are_marked_and_names_never_fall_together():
    assert measured("per-class", ("a", "b")) == {"a": 1.0, "b": 1.0, "#2": 0.5}
    assert measured("per-class", ()) == {"0": 1.0, "1": 1.0, "2": 0.5}
    assert "'a>b'>'a>b'" in measured("confusion", ("a>b", "b", "c"))
    assert len(measured("confusion", ("a>b", "b", "a"))) == 4


@pytest.mark.parametrize("name", ["f1", "balanced-accuracy"])
def test_other_metrics_are_left_as_they_are(name):
    (metric,) = build_metrics([name], registry.load(), 3, ("a", "b", "c")).values()
    assert not isinstance(metric, ByName)


def test_a_plugins_metric_is_named_if_it_says_so():
    class Mine:
        class_keys = True

        def compute(self):
            return 0.5

    assert by_name(Mine(), ("a",)).compute() == 0.5
    Mine.class_keys = False
    assert isinstance(by_name(Mine(), ("a",)), Mine)


def test_runs_and_eval_agree(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = begun(0, epochs=1, metric=["per-class"])
    result = json.loads((run / "result.json").read_text())
    classes = zoo.load(run).classes
    keys = {key for key in result["metrics"] if "/" in key}
    assert keys == {f"per-class/{name}" for name in classes}
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert keys < set(rows[-1]["val"] if "val" in rows[-1] else rows[-1])
    assert keys < set(zoo.evaluate(run).evaluation.to_dict())


def test_metrics_know_the_number_of_classes():
    (metric,) = build_metrics(["f1"], registry.load(), 3).values()
    metric.update(torch.eye(3), torch.arange(3))
    assert metric.compute() == pytest.approx(1.0)
