import json
import os
from pathlib import Path

import pytest

from zoo.cli import training
from zoo.cli.output import Out
from zoo.core import registry
from zoo.core.compose import digest, from_dict
from zoo.engine.evaluate import Evaluation
from zoo.engine.reports import EpochReport
from zoo.engine.result import RunResult

SMALL = (
    "--data", "demo", "--classes", "3", "--size", "32", "--batch-size", "6", "--workers", "0",
    "--threads", "1", "--precision", "fp32", "--epochs", "1",
)  # fmt: skip
MODEL = "tutorials/lenet"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    """Runs are made in a folder of the test's own."""
    monkeypatch.chdir(tmp_path)


def test_a_dry_run_says_what_would_happen_and_makes_nothing(zoo):
    code, out, err = zoo(
        "finetune", "resnet18", "--freeze-upto", "layer3", "--classes", "300", "--dry-run"
    )
    assert (code, err) == (0, "")
    for piece in (
        "resnet18, 11,689,512 parameters",
        "head fc for 300 classes",
        "imagenet1k_v1",
        "up to and including layer3",
        "demo: 300 classes",
        "3 x 224 x 224",
        "note: no --data",
    ):
        assert piece in out
    assert list(Path().iterdir()) == []


def test_a_dry_run_as_json_says_where_values_came_from(zoo):
    _, out, _ = zoo("finetune", "resnet18", *SMALL, "--dry-run", "--json", "--set", "optim.lr=0.5")
    found = json.loads(out)
    assert found["origin"]["optim.lr"] == "--set"
    assert found["origin"]["data.size"] == "flags"
    assert "demo" in found["plan"]["data"]


def test_dry_run_full_builds_and_counts_and_trains_nothing(zoo):
    code, _, err = zoo("train", MODEL, *SMALL, "--dry-run=full", "--in-channels", "3")
    assert code == 0
    assert "trainable" in err
    assert "epoch 1/1" not in err
    assert not list(Path().rglob("model.safetensors"))


def test_a_run_from_flags_to_weights(zoo):
    code, out, err = zoo("train", MODEL, *SMALL, "--name", "one")
    assert code == 0, err
    assert "epoch 1/1 | train loss" in err
    assert "best " in out
    assert "runs/one/" in out
    folder = Path("runs/one")
    for file in ("recipe.toml", "model.safetensors", "metrics.jsonl", "result.json"):
        assert (folder / file).is_file(), file
    for number in out.split():
        assert number != "nan"


def test_json_is_the_only_thing_on_stdout_and_nothing_on_stderr(zoo):
    code, out, err = zoo("train", MODEL, *SMALL, "--name", "one", "--json")
    assert code == 0, out
    found = json.loads(out)
    assert found["name"] == "one"
    assert found["epochs"] == 1
    assert 0 <= found["metrics"]["top1"] <= 1
    assert err == ""


def test_a_recipe_file_repeats_a_run_to_the_digit(zoo):
    first = json.loads(zoo("train", MODEL, *SMALL, "--name", "one", "--json")[1])
    again = json.loads(
        zoo("train", "--recipe", "runs/one/recipe.toml", "--name", "two", "--json")[1]
    )
    assert again["metrics"] == first["metrics"]
    assert again["step"] == first["step"]
    recipes = [from_dict(_table(f"runs/{name}/recipe.toml")) for name in ("one", "two")]
    assert digest(recipes[0]) == digest(recipes[1])


def _table(path):
    import tomllib

    return tomllib.loads(Path(path).read_text("utf-8"))


@pytest.mark.parametrize(
    ("args", "code", "said"),
    [
        (["finetune"], 2, "zoo finetune needs a model"),
        (["finetune", "resnt18"], 2, "did you mean resnet18"),
        (["finetune", "resnet18", "--lr", "-1"], 2, "--lr -1: expected a number > 0.0"),
        (["finetune", "resnet18", "--freeze-upto", "layer9", "--weights", "none"], 2, "layer9"),
        (["finetune", "resnet18", "--data", "./gone"], 3, "gone"),
        (["finetune", "resnet18", "--recipe", "gone.toml"], 2, "gone.toml"),
        (["finetune", "resnet18", "--set", "lr=1"], 2, "did you mean optim.lr"),
        (["finetune", "resnet18", "--loss", "crossentropi"], 2, "cross-entropy"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_an_error_before_any_folder_is_made(zoo, args, code, said):
    found, _, err = zoo(*args)
    assert found == code, err
    assert said in err
    assert "error: " in err
    assert not Path("runs").exists()


def test_a_broken_plugin_is_named_and_the_run_goes_on(site, zoo):
    site.code("bad", "1 / 0")
    registry.load.cache_clear()
    code, _, err = zoo("finetune", "resnet18", "--dry-run", "--data", "demo", "--classes", "3")
    assert code == 0
    assert "plugin bad is out of order" in err


def report(**changes):
    values = {
        "epoch": 1, "epochs": 10, "step": 20, "n": 100, "loss": 1.25, "top1": 0.5, "top5": 0.75,
        "lr": 0.01, "val": None, "value": None, "best": False, "waited": 0, "seconds": 2.0,
    }  # fmt: skip
    return EpochReport(**{**values, **changes})


def test_one_line_an_epoch():
    assert training.epoch_line(report()) == (
        "epoch  2/10 | train loss 1.2500 top-1 50.00 % | lr 0.01 | 50 img/s | 2s"
    )
    line = training.epoch_line(report(top1=None, best=True, seconds=0.0))
    assert line.startswith("epoch  2/10 | train loss 1.2500 | lr")
    assert line.endswith(" *")


def test_the_epochs_line_has_the_validation_set_too():
    val = Evaluation(n=20, loss=0.5, top1=0.25, top5=1.0, metrics={})
    assert "| val loss 0.5000 top-1 25.00 % |" in training.epoch_line(report(val=val))


def test_the_summary_names_folder_proof_and_next_commands(capsys, tmp_path):
    result = RunResult(
        name="one", dir=tmp_path, weights=tmp_path / "model.safetensors", epochs=2, step=10,
        best_epoch=2, metrics={"top1": 0.5, "loss": 1.0, "n": 20.0}, proof="frozen: 60 tensors same",
    )  # fmt: skip
    training.summary(Out(), result)
    out = capsys.readouterr().out
    for piece in (
        "epoch 2 of 2",
        "top1 50.00 %",
        "frozen: 60 tensors same",
        "zoo predict",
        "on 20 images",
    ):
        assert piece in out
    training.summary(Out("json"), result)
    assert json.loads(capsys.readouterr().out)["name"] == "one"


def test_a_preview_is_a_picture_and_no_run(zoo):
    line = ("train", MODEL, *SMALL, "--batch-transform", "mixup")
    code, out, err = zoo(*line, "--preview", "look.png")
    assert (code, err) == (0, "")
    assert out.splitlines() == [
        "preview  look.png: 8 images, 6 epochs",
        "note: mixup mixes whole batches of these: not in the picture",
        "note: the run ends after 1 epoch; in brackets, what a longer one would show",
    ]
    assert [path.name for path in Path().iterdir()] == ["look.png"]
    _, out, _ = zoo(*line, "--preview", "more.png", "--json", "--nproc", "2")
    found = json.loads(out)
    assert found["preview"] == "more.png"
    assert len(found["images"]) == 8
    assert Path("more.png").read_bytes() == Path("look.png").read_bytes()


@pytest.mark.parametrize(
    ("flags", "words", "hint"),
    [
        (["--preview", "here.png"], "is there; it is not written over", "--preview here-2.png"),
        (["--preview", "x.gif"], "is a PNG picture", "--preview x.png"),
        (["--preview", "no/x.png"], "no folder no for the preview", "mkdir -p no"),
        (["--preview", "x.png", "--dry-run"], "both stop before training", "leave one of them out"),
    ],
)
def test_a_preview_that_cannot_be_written_is_said_before_torch(shell, tmp_path, flags, words, hint):
    (tmp_path / "here.png").write_bytes(b"mine")
    (tmp_path / "torch.py").write_text("raise SystemExit('torch was imported')")
    path = os.pathsep.join([str(tmp_path), *filter(None, [os.environ.get("PYTHONPATH")])])
    done = shell("finetune", "resnet18", "--data", "demo", *flags, cwd=tmp_path, PYTHONPATH=path)
    assert done.returncode == 2
    assert words in done.stderr
    assert f"hint: {hint}" in done.stderr
    assert (tmp_path / "here.png").read_bytes() == b"mine"


def test_one_of_several_processes_draws_it(zoo, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    assert zoo("train", MODEL, *SMALL, "--preview", "look.png") == (0, "", "")
    assert list(Path().iterdir()) == []
