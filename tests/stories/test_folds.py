"""Cross-validation in the shell: K runs, each judged on the images of its own fold."""

import json
import os
from pathlib import Path

import pytest
from pictures import OLD, folder, jpeg
from starts import QUICK

from zoo.core.compose import read_recipe
from zoo.engine.start.stored import read_info

SMALL = ("lenet", "--data", "photos", "--size", "32", "--epochs", "1", *QUICK)


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "photos", ["cat", "dog"], each=9)
    return tmp_path


def held(name):
    return next(n for n in read_info(name)[1].data["notes"] if n.startswith("held out"))


def test_each_fold_has_a_run_and_is_judged_on_what_it_held_out(home, zoo):
    found = []
    for n in (1, 2, 3):
        code, out, err = zoo("train", *SMALL, "--fold", f"{n}/3", "--name", f"fold-{n}", "--json")
        assert code == 0, err
        found.append(json.loads(out)["metrics"])
    assert sum(one["n"] for one in found) == 18
    assert read_recipe(Path("runs/fold-2/recipe.toml"))[1]["data.fold"] == "2/3"
    assert held("fold-2") == "held out 6 of 18 images for validation: fold 2 of 3"
    code, out, err = zoo("eval", "fold-2", "--device", "cpu", "--json")
    assert code == 0, err
    assert json.loads(out)["loss"] == pytest.approx(found[1]["loss"], rel=1e-6)
    assert json.loads(out)["n"] == found[1]["n"]
    _, out, _ = zoo("diff", "fold-1", "fold-2", "--json")
    assert json.loads(out)["data.fold"] == ["1/3", "2/3"]
    _, out, _ = zoo("runs", "--json")
    assert [run["best"] for run in json.loads(out)] == [one["top1"] for one in found]


def test_a_runs_recipe_folds_on(home, zoo):
    """A recipe that a run wrote says 0.2 for a fraction that nobody asked for."""
    assert zoo("train", *SMALL, "--name", "first")[0] == 0
    line = ("train", "--recipe", "runs/first/recipe.toml", "--name", "next")
    code, _, err = zoo(*line, "--fold", "1/3")
    assert code == 0, err
    code, _, err = zoo("train", "--recipe", "runs/next/recipe.toml", "--val-fraction", "0.3")
    assert code == 2
    assert "--fold 1/3 holds out fold 1 of 3, and --val-fraction another share" in err


@pytest.mark.parametrize("fold", ["0/5", "6/5", "2", "2/1", "a/b"])
def test_what_is_no_fold_is_said_before_torch_is_imported(home, shell, fold):
    (home / "torch.py").write_text("raise SystemExit('torch was imported')")
    path = os.pathsep.join([str(home), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = shell("finetune", "resnet18", "--data", "photos", "--fold", fold, PYTHONPATH=path)
    assert done.returncode == 2, done.stderr
    assert f"--fold {fold}" in done.stderr.replace("'", "")
    assert "hint: --fold " in done.stderr


def test_one_more_image_is_other_data_for_a_run_that_goes_on(home, zoo):
    assert zoo("train", *SMALL, "--fold", "1/3", "--name", "one")[0] == 0
    Path("runs/one/result.json").unlink()
    more = home / "photos/cat/more.jpg"
    more.write_bytes(jpeg(77))
    os.utime(more, ns=(OLD, OLD))
    code, _, err = zoo("resume", "one")
    assert code == 3
    assert "the data changed" in err
