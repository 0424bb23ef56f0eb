"""A plugin that watches a run and has a say in it, end to end."""

import json
from pathlib import Path

import pytest

LINE = (
    "train", "tutorials/lenet", "--data", "demo", "--classes", "3", "--size", "32", "--workers",
    "0", "--batch-size", "6", "--threads", "1", "--precision", "fp32", "--epochs", "2",
)  # fmt: skip

WATCH = """
from zoo.plugin import hookimpl

seen = []

@hookimpl
def zoo_recipe_defaults(verb, model):
    seen.append(("defaults", verb, model.name))
    return {"optim.lr": 0.125}

@hookimpl
def zoo_model_ready(model):
    seen.append(("ready", type(model).__name__))
    model.fc3.bias.data.zero_()

@hookimpl
def zoo_run_started(run):
    seen.append(("started", run.dir.name))

@hookimpl
def zoo_progress(report):
    seen.append(("progress", report.epoch))

@hookimpl
def zoo_checkpoint_saved(path):
    seen.append(("saved", path.suffix, path.is_file()))

@hookimpl
def zoo_run_ended(result):
    seen.append(("ended", type(result).__name__))
"""


@pytest.fixture
def watch(site, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)

    def install(text=WATCH):
        site.code("watch", text)
        monkeypatch.setenv("ZOO_PLUGINS", "watch,tutorials")

    return install


def seen():
    import zoo_watch

    return zoo_watch.seen


def test_every_hook_is_called_in_order(watch, zoo):
    watch()
    code, out, err = zoo(*LINE, "--name", "one", "--json")
    assert code == 0, out + err
    calls = seen()
    kinds = [call[0] for call in calls]
    assert calls[0] == ("defaults", "train", "lenet")
    assert kinds.index("ready") < kinds.index("started") < kinds.index("progress")
    assert [call[1] for call in calls if call[0] == "progress"] == [0, 1]
    assert ("saved", ".safetensors", True) in calls
    assert calls[-1] == ("ended", "RunResult")
    assert ("started", "one") in calls
    assert json.loads(out)["name"] == "one"
    assert "lr = 0.125" in Path("runs/one/recipe.toml").read_text()


def test_a_flag_wins_over_the_plugin(watch, zoo):
    watch()
    assert zoo(*LINE, "--name", "one", "--lr", "0.25")[0] == 0
    assert "lr = 0.25" in Path("runs/one/recipe.toml").read_text()


@pytest.mark.parametrize("hook", ["zoo_run_started", "zoo_progress", "zoo_run_ended"])
def test_a_failing_observer_is_named_once_and_muted(watch, zoo, hook):
    head, _, tail = WATCH.partition(f"def {hook}(")
    arguments, _, rest = tail.partition(":\n")
    watch(f"{head}def {hook}({arguments}:\n    raise OSError('full')\n{rest}")
    code, out, err = zoo(*LINE, "--name", "one")
    assert code == 0, err
    assert "runs/one" in out
    assert err.count("OSError: full") == 1
    assert "watch" in err


def test_strict_makes_it_an_error(watch, zoo):
    watch(WATCH.replace('seen.append(("progress", report.epoch))', "1 / 0"))
    code, _, err = zoo(*LINE, "--name", "one", "--strict")
    assert code == 4
    assert "ZeroDivisionError" in err
    assert "zoo_progress" in err


def test_a_failing_influence_ends_the_run(watch, zoo):
    watch(WATCH.replace("model.fc3.bias.data.zero_()", "model.none_such"))
    code, _, err = zoo(*LINE, "--name", "one")
    assert code == 4
    assert "zoo_model_ready" in err
    assert "zoo plugins disable watch" in err


def test_the_end_is_told_with_the_error_that_ended_it(watch, zoo):
    watch(WATCH.replace("model.fc3.bias.data.zero_()", "model.fc3.bias.data.fill_(float('nan'))"))
    code, _, err = zoo(*LINE, "--name", "one")
    assert code == 9, err
    assert seen()[-1] == ("ended", "NumericsError")


def test_a_tracker_is_closed_also_if_the_run_ends_before_its_first_step(watch, zoo):
    board = """
from zoo.plugin import TrackerSpec

@hookimpl
def zoo_trackers():
    yield TrackerSpec(name="board", target="zoo_watch:Board")

class Board:
    def __init__(self, run_dir):
        seen.append(("opened", run_dir.name))

    def scalars(self, values, step): ...
    def image(self, name, image, step): ...
    def graph(self, model, example): ...

    def ended(self, result):
        seen.append(("told", type(result).__name__))

    def close(self):
        seen.append(("closed",))
"""
    watch(WATCH.replace('seen.append(("started", run.dir.name))', "raise OSError('full')") + board)
    code, _, err = zoo(*LINE, "--name", "one", "--strict", "--tracker", "board")
    assert code == 4, err
    assert seen()[-3:] == [("opened", "one"), ("told", "PluginError"), ("closed",)]
    assert zoo(*LINE, "--name", "two", "--tracker", "board")[0] == 0
    assert seen()[-2:] == [("told", "RunResult"), ("closed",)]
    assert [call for call in seen() if call[0] == "closed"] == [("closed",)] * 2
