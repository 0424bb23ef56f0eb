import json
import re

import pytest

from zoo.cli.output import Out
from zoo.cli.timings import show

LINE = re.compile(r"^  (\w+) +(\d+\.\d\d) +(\d+) %  \S")


def rows(text):
    return {m[1]: float(m[2]) for line in text.splitlines() if (m := LINE.match(line))}


def test_shares_are_of_the_total(capsys):
    show(Out("table"), {"data": 1.0, "load": 3.0, "first_step": 2.5, "total": 4.0})
    said = capsys.readouterr()
    assert said.out == ""
    assert "  data          1.00   25 %  scanning" in said.err
    assert "  load          3.00   75 %  train: waiting for images" in said.err
    assert "the first step was done after 2.50 s" in said.err


def test_a_training_run_says_where_its_time_went(zoo, tmp_path):
    line = ("train", "tutorials/mlp", "--data", "demo", "--data-option", "per_class=2",
            "--data-option", "size=28", "--classes", "2", "--epochs", "1", "--batch-size", "2",
            "--device", "cpu", "--threads", "1", "--out", tmp_path, "--name", "timed")  # fmt: skip
    code, _, err = zoo(*line, "--timings")
    assert code == 0
    found = rows(err)
    assert {"data", "build", "prepare", "compute", "evaluate", "save", "finish"} <= set(found)
    total = float(re.search(r"total +(\d+\.\d\d)", err)[1])
    assert sum(found.values()) == pytest.approx(total, abs=0.2)
    kept = json.loads((tmp_path / "timed" / "result.json").read_text())["timings"]
    assert kept["total"] == pytest.approx(total, abs=0.01)
    assert 0 < kept["first_step"] < kept["total"]


@pytest.mark.parametrize("verb", ["predict", "eval"])
def test_predicting_and_evaluating_say_it_too(zoo, finished_run, photos, verb):
    images = (photos / "light",) if verb == "predict" else ()
    code, out, err = zoo(verb, finished_run, *images, "--device", "cpu", "--timings", "--json")
    assert code == 0
    json.loads(out)
    assert set(rows(err)) == {"start", "weights", "predict" if verb == "predict" else "evaluate"}
