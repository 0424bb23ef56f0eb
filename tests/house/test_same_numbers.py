"""A change that is not meant to change numbers does not: tiny runs, pinned.

Four decimals, since processors add in different orders; on one machine it is the same to the bit.
A change that moves these numbers on purpose says so in the changelog.
"""

import json

import pytest
import tomlkit

from zoo.core.compose import to_dict
from zoo.core.recipe import Recipe

COMMON = (
    "--data", "demo", "--classes", "3", "--size", "32", "--batch-size", "4", "--workers", "0",
    "--threads", "1", "--precision", "fp32", "--device", "cpu", "--epochs", "2", "--seed", "7",
    "--optimizer", "sgd", "--momentum", "0.9", "--weight-decay", "0.0001", "--schedule", "cosine",
    "--warmup", "1", "--transform", "shift", "--json",
)  # fmt: skip
RUNS = {
    "train": ("train", "tutorials/lenet", "--lr", "0.1", "--val-fraction", "0.5"),
    "even": ("train", "tutorials/lenet", "--lr", "0.1", "--val-fraction", "0.5"),
    "surgery": ("train", "tutorials/lenet", "--project", "8,3", "--lr", "0.05"),
    "freeze": (
        "finetune", "tutorials/lenet", "--weights", "none", "--allow-random-frozen",
        "--lr", "0.01", "--freeze-upto", "conv1", "--ema", "0.5", "--label-smoothing", "0.1",
    ),
}  # fmt: skip
PINNED = {
    "train": [(1.1076, 1.0975), (1.1056, 1.0967)],
    "even": [(1.1076, 1.0975), (1.1043, 1.0966)],
    "surgery": [(1.1137, 1.1083), (1.1124, 1.1043)],
    "freeze": [(1.0989, 1.0983), (1.0993, 1.0982)],
}
"""Run -> training and validation loss of each epoch."""


@pytest.fixture
def zoo(zoo, tmp_path, monkeypatch):
    """The command line below a recipe of plain defaults: models may change what they suggest."""
    monkeypatch.chdir(tmp_path)
    table = {key: value for key, value in to_dict(Recipe()).items() if key != "verb"}
    del table["model"]
    (tmp_path / "even.toml").write_text(tomlkit.dumps(table), "utf-8")
    table["data"]["train_options"] = {"even": False}
    (tmp_path / "plain.toml").write_text(tomlkit.dumps(table), "utf-8")
    return lambda *line, recipe="plain": zoo(*line, "--recipe", f"{recipe}.toml")


@pytest.mark.parametrize("name", RUNS)
def test_losses_are_what_they_were(zoo, tmp_path, name):
    recipe = "even" if name == "even" else "plain"
    code, out, err = zoo(*RUNS[name], *COMMON, "--name", name, recipe=recipe)
    assert code == 0, out + err
    lines = (tmp_path / "runs" / name / "metrics.jsonl").read_text("utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    epochs = [row for row in rows if row["kind"] == "epoch"]
    found = [(round(row["train"]["loss"], 4), round(row["val"]["loss"], 4)) for row in epochs]
    for (train, val), (old_train, old_val) in zip(found, PINNED[name], strict=True):
        assert train == pytest.approx(old_train, abs=1.5e-4), found
        assert val == pytest.approx(old_val, abs=1.5e-4), found


def test_twice_is_the_same_to_the_bit(zoo, tmp_path):
    weights = []
    for name in ("one", "two"):
        assert zoo(*RUNS["train"], *COMMON, "--name", name)[0] == 0
        header, _, tensors = split(tmp_path / "runs" / name / "model.safetensors")
        weights.append((sorted(header), tensors))
    assert weights[0] == weights[1]


def split(path):
    """Header without metadata, metadata, and the bytes of the tensors."""
    content = path.read_bytes()
    size = int.from_bytes(content[:8], "little")
    header = json.loads(content[8 : 8 + size])
    metadata = header.pop("__metadata__")
    return header, metadata, content[8 + size :]
