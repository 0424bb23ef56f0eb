import json

import pytest

from zoo.cli.runs import describe

RECIPE = """
verb = "finetune"
[model]
name = "resnet18"
[data]
source = "demo"
[optim]
epochs = 3
"""
EPOCHS = [
    {"kind": "step", "step": 1},
    {"kind": "epoch", "epoch": 0, "val": {"top1": 0.25}, "best": True},
    {"kind": "epoch", "epoch": 1, "val": {"top1": 0.75}, "best": True},
    {"kind": "epoch", "epoch": 2, "val": {"top1": 0.5}, "best": False},
]


@pytest.fixture
def runs(tmp_path, monkeypatch):
    """A folder with a finished run, one in the middle, one just begun, one that is damaged."""
    monkeypatch.chdir(tmp_path)

    def make(name, recipe=RECIPE, epochs=(), result=False):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "recipe.toml").write_text(recipe)
        lines = "".join(json.dumps(row) + "\n" for row in epochs)
        (folder / "metrics.jsonl").write_text(lines)
        if result:
            (folder / "result.json").write_text("{}")
        return folder

    make("net-10", epochs=EPOCHS, result=True)
    make("net-9", epochs=EPOCHS[:2])
    make("net-1")
    make("odd", recipe="schema = 9")
    (tmp_path / "runs" / "not-a-run").mkdir()
    return make


def test_runs_in_the_order_of_people(zoo, runs):
    code, out, _ = zoo("runs", "--names")
    assert code == 0
    assert out.split() == ["net-1", "net-9", "net-10", "odd"]


def test_the_table_says_how_far_each_is(zoo, runs):
    rows = {line.split()[0]: line for line in zoo("runs")[1].splitlines()}
    assert "3/3" in rows["net-10"]
    assert "top1 0.75" in rows["net-10"]
    assert rows["net-10"].endswith("done")
    assert "1/3" in rows["net-9"]
    assert rows["net-9"].endswith("can be resumed")
    assert "0/3" in rows["net-1"]
    assert "recipe schema 9" in rows["odd"]


def test_json(zoo, runs):
    found = {run["name"]: run for run in json.loads(zoo("runs", "--json")[1])}
    assert found["net-10"]["best"] == 0.75
    assert found["net-10"]["model"] == "resnet18"
    assert found["net-1"]["best"] is None
    assert set(found["odd"]) == set(found["net-1"])


def test_another_folder(zoo, runs, tmp_path):
    code, out, err = zoo("runs", "--dir", tmp_path / "none")
    assert (code, out) == (0, "")
    assert "zoo finetune makes one" in err


def test_a_torn_line_in_the_metrics_is_passed_over(runs, tmp_path):
    folder = runs("torn", epochs=EPOCHS[:2])
    with (folder / "metrics.jsonl").open("a") as file:
        file.write('{"kind": "epoch", "epo')
    assert describe(folder)["epochs_done"] == 1
    (folder / "metrics.jsonl").unlink()
    assert describe(folder)["epochs_done"] == 0


def test_a_run_watched_by_its_loss(runs):
    recipe = RECIPE + "[output]\nmonitor = 'loss'\n"
    rows = [{"kind": "epoch", "epoch": 0, "val": {"loss": 2.5}, "best": True}]
    found = describe(runs("loss", recipe=recipe, epochs=rows))
    assert (found["monitor"], found["best"]) == ("loss", 2.5)


def test_a_run_without_a_validation_set(runs):
    rows = [{"kind": "epoch", "epoch": 0, "val": None, "best": True}]
    assert describe(runs("blind", epochs=rows))["best"] is None


def test_how_a_run_ended(runs):
    folder = runs("short", epochs=EPOCHS[:2], result=True)
    (folder / "result.json").write_text('{"stopped_early": true}')
    assert describe(folder)["state"] == "done, stopped early"
    (folder / "result.json").write_text("{")
    assert describe(folder)["state"] == "its result cannot be read"
