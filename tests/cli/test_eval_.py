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


def test_spoilt_images_are_a_table_of_their_own(zoo, finished_run, photos):
    code, out, _ = zoo("eval", finished_run, "--data", photos, "--corruptions", "--worst", "0")
    assert code == 0
    head, names, *rows = out.partition("\n\n")[2].splitlines()
    assert head.startswith("top-1 on spoilt images: ")
    assert names.split() == ["SPOILT", "BY", "MILD", "MEDIUM", "STRONG"]
    assert [row.split()[0] for row in rows][:3] == ["noise", "blur", "brightness"]
    assert all(row.count("%") == 3 for row in rows)
    line = ("eval", finished_run, "--data", photos, "--corruptions", "--json")
    found = json.loads(zoo(*line)[1])["robustness"]
    assert f"on average, as they are {100 * found['clean']:.1f} %" in head
    assert f"{100 * found['mean']:.1f} % on average" in head


def test_mirror_images_are_told_of(zoo, finished_run, photos):
    line = ("eval", finished_run, "--data", photos, "--device", "cpu")
    code, out, err = zoo(*line, "--tta")
    assert code == 0
    assert "note: answers are the mean over each image and its mirror image" in err
    assert "mirror" not in zoo(*line)[2]
    assert out.splitlines()[0] == zoo(*line)[1].splitlines()[0]


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


def test_a_report(zoo, finished_run, photos, tmp_path):
    path = tmp_path / "photos.html"
    words = ("eval", finished_run, "--data", photos, "--device", "cpu", "--report", path)
    code, out, _ = zoo(*words)
    assert code == 0
    assert [line.split() for line in out.splitlines() if line.startswith("report")] == [
        ["report", str(path)]
    ]
    first = path.read_text("utf-8")
    assert first.startswith("<!doctype html>\n<!-- zoo report -->\n")
    code, out, _ = zoo(*words, "--json")  # replaces it
    assert code == 0
    found = json.loads(out)
    assert found["report"] == str(path)
    assert found["calibration"]["temperature_n"] == 24
    assert [p.name for p in tmp_path.iterdir()] == ["photos.html"]


def test_a_report_replaces_nothing_else(zoo, finished_run, tmp_path):
    path = tmp_path / "mine.html"
    path.write_text("mine")
    code, _, err = zoo("eval", finished_run, "--report", path)
    assert code == 2
    assert err.splitlines()[1] == f"hint: --report {tmp_path / 'mine-report.html'}"
    assert path.read_text() == "mine"


def test_images_that_it_was_trained_on_are_told_of(zoo, finished_run, photos):
    _, _, err = zoo("eval", finished_run, "--data", photos, "--device", "cpu")
    assert "trained on" in err


def test_a_named_set_takes_its_options(zoo, finished_run):
    line = ("eval", finished_run, "--data", "demo", "--device", "cpu")
    code, _, err = zoo(*line, "--data-option", "per_classes=4")
    assert code == 2
    assert "has no option 'per_classes'\nhint: did you mean per_class" in err
    code, _, err = zoo(*line, "--data-option", "per_class=4")
    assert code == 3
    assert "classes that the model does not know" in err
