import json

from zoo.cli.train import command


def test_help(zoo):
    code, out, _ = zoo("train", "--help")
    assert code == 0
    assert "zoo train lenet --data digits" in out
    assert command.name == "train"


def test_it_starts_from_random_weights_unless_told(zoo, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    line = ("train", "resnet18", "--data", "demo", "--classes", "3", "--dry-run")
    assert "none: random" in zoo(*line)[1]
    assert "imagenet1k_v1" in zoo(*line, "--weights", "imagenet1k_v1")[1]
    origin = json.loads(zoo(*line, "--json")[1])["origin"]
    assert origin["model.weights"] == "zoo train"
