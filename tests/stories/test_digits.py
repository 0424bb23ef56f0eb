"""A newcomer's first hour: train a small network on digits, judge it, ask it, hand it on."""

import json
from pathlib import Path

import pytest
import torch
from PIL import Image
from starts import QUICK

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """``zoo train lenet --data digits``, with the defaults that the registry suggests."""
    from zoo.cli.main import run

    home = tmp_path_factory.mktemp("digits")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(home)
        code = run(["train", "lenet", "--data", "digits", "--name", "first", *QUICK])
    assert code == 0
    return home


@pytest.fixture
def home(digits, monkeypatch):
    monkeypatch.chdir(digits)
    return digits


def result(home):
    return json.loads((home / "runs/first/result.json").read_text("utf-8"))


def test_it_learns_to_read(home):
    """More than 97 % of digits that it never saw, in seconds, from random weights."""
    found = result(home)
    assert found["metrics"]["top1"] >= 0.97
    assert found["metrics"]["n"] == 397
    assert found["seconds"] < 60
    recipe = (home / "runs/first/recipe.toml").read_text("utf-8")
    assert 'weights = "none"' in recipe


def test_evaluation_gives_the_number_that_the_run_gave(home, zoo):
    code, out, err = zoo("eval", "first", "--device", "cpu", "--json")
    assert code == 0, err
    found, run = json.loads(out), result(home)["metrics"]
    assert found["n"] == run["n"] == 397
    assert found["top1"] == run["top1"]
    assert found["top5"] == run["top5"]
    assert found["loss"] == pytest.approx(run["loss"], rel=1e-6)
    assert sum(one["n"] for one in found["per_class"].values()) == 397


def test_the_training_images_are_known_even_better(home, zoo):
    _, out, _ = zoo("eval", "first", "--split", "train", "--device", "cpu", "--json")
    found = json.loads(out)
    assert found["n"] == 1400
    assert found["top1"] > result(home)["metrics"]["top1"] - 0.02


@pytest.fixture
def images(home):
    """Ten test digits as PNG files, in folders named after their classes."""
    from zoo.core import registry

    known = registry.load()
    data = known.build("dataset", "digits", root=None, split="test", transform=None, download=False)
    made = []
    for index in range(10):
        image, label = data[index]
        path = home / "scans" / str(label) / f"scan-{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(image).save(path)
        made.append((path, str(label)))
    return made


def test_it_says_what_an_image_shows_and_what_it_is(images, zoo):
    right = 0
    for path, label in images:
        code, out, err = zoo("predict", "first", path, "--device", "cpu")
        assert code == 0, err
        assert f', Actual: "{label}"' in out
        right += f'Predicted: "{label}", Actual: "{label}"' in out
    assert right >= 9


def test_a_folder_of_images_at_once_is_the_same_as_one_by_one(images, zoo):
    _, out, _ = zoo("predict", "first", "scans", "--device", "cpu", "--json")
    together = {Path(one["image"]).name: one for one in json.loads(out)}
    assert len(together) == 10
    for path, label in images:
        _, out, _ = zoo("predict", "first", path, "--device", "cpu", "--json")
        (alone,) = json.loads(out)
        one = together[path.name]
        assert one["actual"] == label
        assert [name for name, _ in one["top"]] == [name for name, _ in alone["top"]]
        for (_, share), (_, other) in zip(one["top"], alone["top"], strict=True):
            assert share == pytest.approx(other, abs=1e-5)


def test_what_is_exported_computes_the_same_elsewhere(home):
    import zoo

    made = zoo.export("first", format="torch-export", out=home / "lenet.pt2")
    assert made.max_diff is not None
    assert made.max_diff <= 1e-4 * made.scale
    loaded = zoo.load("first")
    assert loaded.classes == tuple("0123456789")
    images = torch.rand(7, 1, 32, 32)
    with torch.no_grad():
        expected = loaded.model(images)
        assert torch.equal(zoo.load("first").model(images), expected)
        program = torch.export.load(made.path).module()
        torch.testing.assert_close(program(images), expected)


def test_the_command_line_exports_the_same_weights(home, zoo):
    from safetensors.torch import load_file

    out = home / "lenet.safetensors"
    code, said, err = zoo("export", "first", "--format", "safetensors", "--out", out)
    assert code == 0, said + err
    mine, theirs = load_file(home / "runs/first/model.safetensors"), load_file(out)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
