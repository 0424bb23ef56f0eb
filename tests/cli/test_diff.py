import json

import pytest

RECIPE = 'verb = "{verb}"\n[model]\nname = "resnet18"\n[optim]\nlr = {lr}\n[freeze]\nunfreeze = {globs}\n'


@pytest.fixture(autouse=True)
def runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name, verb, lr, globs in (("a", "finetune", 0.1, []), ("b", "train", 0.2, ["x", "y"])):
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        (folder / "recipe.toml").write_text(RECIPE.format(verb=verb, lr=lr, globs=globs))
    return tmp_path / "runs"


def test_only_what_differs_is_shown(zoo):
    code, out, _ = zoo("diff", "a", "b")
    assert code == 0
    rows = {line.split()[0]: line.split()[1:] for line in out.splitlines()}
    assert rows["FIELD"] == ["A", "B"]
    assert rows["optim.lr"] == ["0.1", "0.2"]
    assert rows["verb"] == ["finetune", "train"]
    assert "x, y" in out
    assert "model.name" not in out


def test_json(zoo):
    found = json.loads(zoo("diff", "a", "b", "--json")[1])
    assert found["optim.lr"] == [0.1, 0.2]


def test_the_same(zoo, runs):
    assert zoo("diff", "a", runs / "a")[1] == "no difference\n"


def test_a_recipe_file(zoo, tmp_path):
    file = tmp_path / "mine.toml"
    file.write_text("[optim]\nlr = 0.1\nepochs = 3\n[loss.options]\ngamma = 2\n")
    out = zoo("diff", "a", file)[1]
    assert "optim.epochs" in out
    assert "gamma=2" in out
    assert "optim.lr" not in out


def test_options_and_lists_differ_by_what_they_hold(zoo, tmp_path):
    for name, value in (("one", 2), ("two", 3)):
        (tmp_path / f"{name}.toml").write_text(f"[loss.options]\ngamma = {value}\n")
    assert "gamma=2" in zoo("diff", "one.toml", "two.toml")[1]


def test_a_run_that_is_not_there(zoo):
    code, _, err = zoo("diff", "a", "gone")
    assert code == 5
    assert "no run 'gone'" in err
    assert "hint: zoo runs" in err
