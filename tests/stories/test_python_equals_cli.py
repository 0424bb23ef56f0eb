"""Every verb by the command line and by Python: the same recipe, the same numbers."""

import json
import re
import tomllib
from pathlib import Path

import pytest
import torch

import zoo as library
from zoo.core import compose, registry
from zoo.core.flags import KEYWORDS
from zoo.core.request import request

FLAGS = (
    "--data", "demo", "--classes", "3", "--size", "32", "--batch-size", "6", "--epochs", "1",
    "--optimizer", "adamw", "--lr", "0.002", "--workers", "0", "--threads", "1",
    "--precision", "fp32", "--device", "cpu", "--set", "optim.clip=1.5",
)  # fmt: skip
WORDS = {
    "data": "demo", "classes": 3, "size": 32, "batch_size": 6, "epochs": 1,
    "optimizer": "adamw", "lr": 0.002, "workers": 0, "threads": 1,
    "precision": "fp32", "device": "cpu", "set": {"optim.clip": 1.5},
}  # fmt: skip


def digest(run):
    """Digest of what a run was told to do, from its recipe file."""
    return compose.digest(
        compose.from_dict(tomllib.loads((run / "recipe.toml").read_text("utf-8")))
    )


def tensors(run):
    from safetensors.torch import load_file

    return load_file(run / "model.safetensors")


def same(one, other):
    mine, theirs = tensors(one), tensors(other)
    return mine.keys() == theirs.keys() and all(torch.equal(mine[n], theirs[n]) for n in mine)


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """Four runs: ``train`` and ``finetune``, each from the shell's words and from Python's."""
    from zoo.cli.main import run

    folder = tmp_path_factory.mktemp("both")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        assert run(["train", "lenet", "--name", "train-cli", *FLAGS]) == 0
        library.train("lenet", name="train-api", **WORDS)
        start = ("--weights", "run:train-cli", "--freeze-upto", "conv2", "--metric", "f1,brier")
        assert run(["finetune", "lenet", "--name", "tune-cli", *start, *FLAGS]) == 0
        library.finetune(
            "lenet",
            name="tune-api",
            weights="run:train-cli",
            freeze_upto="conv2",
            metric=["f1", "brier"],
            **WORDS,
        )
    return folder


@pytest.fixture(autouse=True)
def there(home, monkeypatch):
    monkeypatch.chdir(home)


@pytest.mark.parametrize("verb", ["train", "tune"])
def test_the_recipes_have_one_digest(home, verb):
    assert digest(home / f"runs/{verb}-cli") == digest(home / f"runs/{verb}-api")


@pytest.mark.parametrize("verb", ["train", "tune"])
def test_the_weights_are_equal_bit_for_bit(home, verb):
    assert same(home / f"runs/{verb}-cli", home / f"runs/{verb}-api")


def test_a_result_is_what_the_command_line_prints_as_json(home, zoo):
    code, out, _ = zoo("resume", "tune-cli", "--json")  # finished: says its result again
    assert code == 0
    shell, python = json.loads(out), library.resume("tune-api").to_dict()
    for key in ("name", "dir", "weights", "seconds", "timings"):
        del shell[key], python[key]
    assert shell == python
    assert {"f1", "brier"} <= shell["metrics"].keys()
    assert isinstance(shell["metrics"]["n"], int)


def test_list(zoo):
    _, out, _ = zoo("list", "resnet*", "--names")
    assert out.split() == library.list_models("resnet*")


def test_info(zoo):
    _, out, _ = zoo("info", "resnet18", "--json")
    found = json.loads(out)
    spec = library.model_info("resnet18")
    text = json.dumps(found)
    assert spec.target in text
    assert str(spec.params) in text


def test_eval(zoo):
    _, out, _ = zoo("eval", "tune-cli", "--device", "cpu", "--json")
    assert json.loads(out) == json.loads(
        json.dumps(library.evaluate("tune-cli", device="cpu").to_dict())
    )


def test_eval_with_a_report(home, zoo):
    """The same numbers, and the same page but for the moment."""
    _, out, _ = zoo("eval", "tune-cli", "--device", "cpu", "--report", "r.html", "--json")
    shell = Path("r.html").read_text("utf-8")
    found = library.evaluate("tune-cli", device="cpu", report="r.html")
    python = Path("r.html").read_text("utf-8")
    assert json.loads(out) == json.loads(json.dumps(found.to_dict()))
    when = re.compile("<dt>when</dt><dd>[^<]+</dd>")
    assert when.sub("", shell) == when.sub("", python)
    assert "unchanged" in python  # the freeze proof's line


def test_predict(home, zoo):
    from starts import pictures

    if not (home / "shots").exists():
        pictures(home / "shots", range(2), 2, size=32)
    _, out, _ = zoo("predict", "tune-cli", "shots", "--device", "cpu", "--top", "2", "--json")
    python = library.predict("tune-cli", ["shots"], device="cpu", top=2)
    shell = json.loads(out)
    assert len(shell) == len(python) == 4
    for one, other in zip(shell, python, strict=True):
        assert one["image"] == other.image
        assert one["actual"] == other.actual
        assert [tuple(pair) for pair in one["top"]] == list(other.top)


def test_export(home, zoo):
    from safetensors.torch import load_file

    shell, python = home / "shell.safetensors", home / "python.safetensors"
    code, out, err = zoo("export", "tune-cli", "--format", "safetensors", "--out", shell)
    assert code == 0, out + err
    library.export("tune-cli", format="safetensors", out=python)
    one, other = load_file(shell), load_file(python)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_every_flag_is_a_keyword_and_every_keyword_a_flag():
    from zoo.cli.finetune import command
    from zoo.cli.options import RecipeOption

    flags = {option.name for option in command.params if isinstance(option, RecipeOption)}
    assert flags == set(KEYWORDS)


@pytest.mark.parametrize("verb", ["train", "finetune"])
def test_a_recipe_file_a_flag_and_a_keyword_say_the_same(tmp_path, zoo, verb):
    """Three spellings of one wish, for every kind of value."""
    known = registry.load()
    file = tmp_path / "r.toml"
    file.write_text(
        '[model]\nname = "resnet18"\nweights = "none"\n[surgery]\nproject = [40, 3]\n'
        '[freeze]\nunfreeze = ["layer4.1.*"]\n[loss]\nlabel_smoothing = 0.1\n'
        '[optim]\nschedule_options = { gamma = 0.5 }\nschedule = "step"\n'
        "[device]\nchannels_last = false\n",
        "utf-8",
    )
    words = {
        "weights": "none", "project": (40, 3), "unfreeze": ["layer4.1.*"], "label_smoothing": 0.1,
        "schedule": "step", "channels_last": False,
    }  # fmt: skip
    flags = (
        "--weights", "none", "--project", "40,3", "--unfreeze", "layer4.1.*",
        "--label-smoothing", "0.1", "--schedule", "step", "--no-channels-last",
        "--set", "optim.schedule_options.gamma=0.5",
    )  # fmt: skip
    by_file = request(verb, None, {}, registry=known, file=file).recipe
    by_words = request(
        verb, "resnet18", words, registry=known, sets={"optim.schedule_options.gamma": 0.5}
    ).recipe
    assert by_file == by_words
    by_flags = _parsed(verb, "resnet18", *flags)
    assert compose.digest(by_flags) == compose.digest(by_words)


def _parsed(verb, *args):
    """The recipe that a command line makes, without running it."""
    from zoo.cli.finetune import command as finetune
    from zoo.cli.options import keyword_values
    from zoo.cli.train import command as train

    with (train if verb == "train" else finetune).make_context(verb, list(args)) as context:
        values = context.params
        return request(
            verb,
            values["model"],
            keyword_values(values),
            registry=registry.load(),
            sets=values["sets"],
        ).recipe


def test_the_loop_in_python_gives_what_the_command_gives(home):
    """``for report in zoo.fit(...)`` ends with the same result, and may be left."""
    events = list(library.fit("train", "lenet", name="loop", **WORDS))
    result = events[-1]
    assert Path(result.dir) == Path("runs/loop")
    assert same(home / "runs/loop", home / "runs/train-cli")
    assert digest(home / "runs/loop") == digest(home / "runs/train-cli")
