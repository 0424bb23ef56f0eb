import json
import shutil

import pytest


def test_numbers_and_classes(zoo, finished_run, photos):
    code, out, _ = zoo("eval", finished_run, "--data", photos, "--device", "cpu")
    assert code == 0
    rows = {line.split()[0]: line for line in out.splitlines() if line.strip()}
    assert "24 images, 2 classes" in rows["data"]
    assert rows["top-1"].endswith("%")
    assert 0 <= float(rows["macro"].split()[-1]) <= 1
    assert rows["dark"].split()[1] == "12"
    assert rows["light"].split()[1] == "12"


def test_the_runs_own_validation_images_are_the_default(zoo, finished_run):
    code, out, _ = zoo("eval", finished_run, "--json")
    assert code == 0
    found = json.loads(out)
    trained = json.loads((finished_run / "result.json").read_text())
    assert found["n"] == trained["metrics"]["n"]
    assert found["top1"] == pytest.approx(trained["metrics"]["top1"])
    assert found["loss"] == pytest.approx(trained["metrics"]["loss"], rel=1e-5)


def test_further_metrics(zoo, finished_run, photos):
    code, out, err = zoo("eval", finished_run, "--data", photos, "--metric", "f1,recall")
    assert code == 0, err
    assert "f1" in out
    assert "recall" in out
    code, _, err = zoo("eval", finished_run, "--metric", "f11")
    assert code == 2
    assert "f1" in err


def test_the_worst_classes_first(zoo, finished_run, photos):
    _, out, _ = zoo("eval", finished_run, "--data", photos, "--worst", "1")
    assert "least recognised classes" in out
    assert len(out.partition("RECOGNISED\n")[2].splitlines()) == 1
    assert "recognised" not in zoo("eval", finished_run, "--data", photos, "--worst", "0")[1]


def test_images_of_a_class_that_the_model_does_not_know(zoo, finished_run, photos, tmp_path):
    shutil.copytree(photos, tmp_path / "more")
    (tmp_path / "more" / "dark").rename(tmp_path / "more" / "grey")
    code, _, err = zoo("eval", finished_run, "--data", tmp_path / "more")
    assert code == 3
    assert "grey" in err


def test_a_run_that_is_not_there(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, _, err = zoo("eval", "gone")
    assert code != 0
    assert "gone" in err
