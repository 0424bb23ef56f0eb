import json
from pathlib import Path

import pytest
import torch

import zoo
from zoo.core.compose import digest, from_dict
from zoo.engine.reports import EpochReport
from zoo.engine.result import RunResult

SMALL = {
    "data": "demo", "classes": 3, "size": 32, "batch_size": 6, "workers": 0, "threads": 1,
    "precision": "fp32", "device": "cpu", "epochs": 1,
}  # fmt: skip


def as_flags(keywords):
    """The command line's spelling of Python's keywords."""
    return [piece for k, v in keywords.items() for piece in (f"--{k.replace('_', '-')}", str(v))]


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.mark.parametrize("verb", ["train", "finetune"])
def test_python_and_the_command_line_mean_the_same_recipe(command_line, verb):
    """One request, spelt as keywords and as flags: one digest."""
    keywords = {**SMALL, "weights": "none", "lr": 0.05, "seed": 3}
    result = getattr(zoo, verb)("tutorials/lenet", **keywords, name="python")
    code, out, _ = command_line(
        verb, "tutorials/lenet", *as_flags(keywords), "--name", "shell", "--json"
    )
    assert code == 0
    told = json.loads(out)
    assert told["metrics"] == result.metrics
    recipes = [zoo.load(name).info.recipe for name in ("python", "shell")]
    assert digest(from_dict(recipes[0])) == digest(from_dict(recipes[1]))


def test_the_loop_is_yours_to_break():
    seen = []
    for event in zoo.fit("train", "tutorials/lenet", **{**SMALL, "epochs": 3}, name="half"):
        seen.append(type(event).__name__)
        if isinstance(event, EpochReport) and event.epoch == 1:
            break
    assert "StepReport" in seen
    result = zoo.resume("half")
    whole = zoo.train("tutorials/lenet", **{**SMALL, "epochs": 3}, name="whole")
    assert result.metrics == whole.metrics
    ours, theirs = zoo.load("half").model, zoo.load("whole").model
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert torch.equal(one, other)


def test_a_result_says_everything():
    result = zoo.train("tutorials/lenet", **SMALL, set={"optim.lr": 0.5}, out="there", name="x")
    assert isinstance(result, RunResult)
    assert result.dir.as_posix() == "there/x"
    assert result.weights.is_file()
    assert zoo.load(result.dir).info.recipe["optim"]["lr"] == 0.5


def test_learning_rates_are_tried_and_nothing_is_written(command_line):
    keywords = {**SMALL, "optimizer": "adamw", "seed": 3}
    found = zoo.find_lr("tutorials/lenet", verb="train", **keywords)
    assert len(found.rates) == len(found.losses) == len(found.smooth)
    assert list(Path().iterdir()) == []
    code, out, _ = command_line(
        "train", "tutorials/lenet", *as_flags(keywords), "--find-lr", "--json"
    )
    assert code == 0
    assert json.loads(out)["losses"] == list(found.losses)
    assert list(Path().iterdir()) == []
