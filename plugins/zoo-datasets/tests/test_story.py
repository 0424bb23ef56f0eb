"""A user's work, by the command line: train, judge, examine, resume, go wrong, be offline."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import colours
import pytest
from safetensors.torch import load_file
from short_runs import begun

from zoo.engine.start.stored import read_info

SMALL = (
    "--size", "32", "--epochs", "1", "--batch-size", "6", "--device", "cpu", "--threads", "1",
    "--workers", "0", "--precision", "fp32",
)  # fmt: skip
TRAIN = ("train", "tutorials/catdog", *SMALL)
PARQUET = ("--data", "datasets/parquet", "--data-option", "files=shards/*.parquet")
TARS = ("--data", "datasets/webdataset", "--data-option", "files=tars/{train,validation}-*.tar")
SAVED = ("--data", "datasets/saved", "--data-option", "folder=saved")
HUB = ("--data", "datasets/hub", "--data-option", "repo=anna/colours")


@pytest.mark.parametrize("data", [PARQUET, (*TARS, "--data-option", "names=blue,green,red"), SAVED])
def test_trained_and_judged(place, zoo, data):
    code, out, err = zoo(*TRAIN, *data, "--name", "one", "--json")
    assert code == 0, err
    assert json.loads(out)["metrics"]["n"] == 6
    code, out, err = zoo("eval", "one", *SAVED, "--split", "test", "--device", "cpu", "--json")
    assert code == 0, err
    assert json.loads(out)["n"] == 6
    assert read_info("one")[1].classes == colours.NAMES


def test_the_plan_says_what_is_read(place, zoo):
    code, out, err = zoo(*TRAIN, *PARQUET, "--dry-run")
    assert code == 0, err
    assert "datasets/parquet: 3 classes, 18 training and 6 validation images" in out
    assert "note: files by split, by their names: train 1, val 1, test 1" in out


def test_a_run_judges_its_own_splits(place, zoo):
    assert zoo(*TRAIN, *PARQUET, "--name", "one")[0] == 0
    for split in ("val", "test"):
        code, out, err = zoo("eval", "one", "--split", split, "--device", "cpu", "--json")
        assert code == 0, err
        assert json.loads(out)["n"] == 6
        assert "changed since" not in err
    code, _, err = zoo("eval", "one", *PARQUET, "--split", "dev", "--device", "cpu")
    assert code == 3
    assert "has no split 'dev'\nhint: it has train, val, test" in err


def test_folds_of_a_split_alone(place, zoo):
    alone = ("--data", "datasets/parquet", "--data-option", "train=shards/train*")
    code, out, err = zoo(*TRAIN, *alone, "--fold", "2/3", "--dry-run")
    assert code == 0, err
    assert "6 images of train held out for validation: fold 2 of 3" in out
    code, _, err = zoo(*TRAIN, *PARQUET, "--fold", "2/3")
    assert code == 2
    assert "datasets/parquet has a split val" in err


def test_examined(place, zoo):
    code, out, err = zoo("doctor", *PARQUET[1:], "--json")
    assert code == 0, err
    found = json.loads(out)
    assert found["ok"]
    assert found["counts"]["test"] == {"blue": 2, "green": 2, "red": 2}
    assert "fit to train on" in zoo("doctor", *SAVED[1:])[1]


def test_a_broken_image_is_named_and_left_out(place, zoo):
    made = colours.rows("train", 12)
    made["image"][4]["bytes"] = made["image"][4]["bytes"][:300]
    table = colours.table("train", 12)
    kinds = table.features
    table = table.from_dict(made, features=kinds)
    Path("bad").mkdir()
    table.to_parquet("bad/train.parquet")
    data = ("--data", "datasets/parquet", "--data-option", "files=bad")
    code, _, err = zoo(*TRAIN, *data, "--val-fraction", "0.25")
    assert code == 3
    assert "image 'train-04.png' cannot be read: truncated PNG" in err
    code, out, err = zoo(*TRAIN, *data, "--val-fraction", "0.25", "--on-bad-image", "skip")
    assert code == 0, err
    assert "train-04.png" in out + err
    code, out, _ = zoo("doctor", *data[1:])
    assert code == 3
    assert "train-04.png" in out


def test_a_bomb_is_refused_by_the_size_that_it_states(place, zoo):
    made = colours.rows("train", 12)
    made["image"][1]["bytes"] = colours.png(1, 1, size=64)
    table = colours.table("train", 12)
    Path("large").mkdir()
    table.from_dict(made, features=table.features).to_parquet("large/train.parquet")
    small = ("--max-pixels", "2000", "--data-option", "files=large")
    code, out, _ = zoo("doctor", "datasets/parquet", *small)
    assert code == 3
    assert "64 x 64 = 4,096 pixels, more than the limit of 2,000" in out


def test_columns_that_are_not_there(place, zoo):
    code, _, err = zoo(*TRAIN, *PARQUET, "--data-option", "label=colour")
    assert code == 3
    assert "no column 'colour'; its columns: image (image), label (3 classes)" in err
    assert "hint: --data-option label=label" in err


def test_labels_that_are_kept_back(place, zoo):
    Path("kept").mkdir()
    colours.table("train", 12).to_parquet("kept/train.parquet")
    colours.table("test", 3, labels=[-1] * 3).to_parquet("kept/test.parquet")
    data = ("--data", "datasets/parquet", "--data-option", "files=kept")
    code, out, err = zoo(*TRAIN, *data, "--dry-run")
    assert code == 0, err
    assert "note: test is left alone: none of its images has a label" in out
    assert "images of train held out for validation" in out
    code, _, err = zoo(*TRAIN, *data, "--val", "test")
    assert code == 3
    assert "none of its 3 images has a label" in err
    colours.table("train", 12, labels=[0, 1, -1] * 4).to_parquet("kept/train.parquet")
    code, _, err = zoo(*TRAIN, *data)
    assert code == 3
    assert "4 of 12 images have no label, first that of row 2" in err


def test_classes_that_differ(place, zoo):
    from datasets import Value

    def write(split, names):
        kinds = colours.features(label=Value("string"))
        colours.table(split, len(names), names, kinds).to_parquet(f"words/{split}.parquet")

    Path("words").mkdir()
    data = ("--data", "datasets/parquet", "--data-option", "files=words")
    write("train", ["b", "a", "c"] * 4)
    write("val", ["c", "b"])
    code, _, err = zoo(*TRAIN, *data)
    assert code == 3
    assert "only in train: a" in err
    code, out, err = zoo(*TRAIN, *data, "--allow-empty", "--dry-run")
    assert code == 0, err
    assert "note: classes without validation images: a" in out
    write("val", ["c", "b", "d", "a"])
    code, _, err = zoo(*TRAIN, *data, "--allow-empty")
    assert code == 3
    assert "only in val: d" in err


def test_a_hubs_data_set(filled, place, zoo, monkeypatch):
    code, _, err = zoo(*TRAIN, *HUB)
    assert code == 3
    assert "anna/colours is not in" in err
    assert "hint: add --download" in err
    code, _, err = zoo(*TRAIN, *HUB, "--download", "--dry-run")
    assert code == 3
    assert "a dry run downloads nothing" in err
    assert filled.seen == []
    code, out, err = zoo(*TRAIN, *HUB, "--download", "--name", "one", "--json")
    assert code == 0, err
    commit = filled.store.repos["anna/colours"].head.oid
    assert f"anna/colours at main, commit {commit[:12]}" in read_info("one")[1].data["notes"]
    asked = len(filled.seen)
    code, out, err = zoo("--offline", "eval", "one", "--split", "test", "--device", "cpu", "--json")
    assert code == 0, err
    assert json.loads(out)["n"] == 6
    assert len(filled.seen) == asked
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    other = ("--data", "datasets/hub", "--data-option", "repo=anna/other")
    code, _, err = zoo(*TRAIN, *other, "--download")
    assert code == 3
    assert "no request is made (offline)" in err
    assert len(filled.seen) == asked


def test_resumed_to_the_same_bits_from_elsewhere(place, zoo, monkeypatch):
    common = {
        "data": "datasets/parquet", "data_option": {"files": "shards/*.parquet"}, "classes": 3,
        "size": 32, "in_channels": 3, "out": "runs",
    }  # fmt: skip
    whole = begun(0, **common, name="whole")
    torn = begun(1, **common, name="torn").resolve()
    whole = whole.resolve()
    (place / "elsewhere").mkdir()
    monkeypatch.chdir("elsewhere")  # the pattern still leads to where it led
    code, _, err = zoo("resume", torn)
    assert code == 0, err
    one, other = (load_file(folder / "model.safetensors") for folder in (whole, torn))
    assert all(one[name].equal(other[name]) for name in one)


@pytest.mark.slow
def test_loader_processes_and_kept_outputs_and_a_clean_home(place):
    """A process of its own: nothing is written to the user's home, nothing but JSON to stdout."""
    home = place / "home"
    home.mkdir()
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "XDG_"))}
    env |= {"HOME": str(home), "ZOO_CACHE": str(place / "cache"), "OMP_NUM_THREADS": "1"}
    line = [
        "train", "tutorials/catdog", *PARQUET, *SMALL, "--workers", "2", "--freeze-upto", "conv1",
        "--allow-random-frozen", "--cache", "ram", "--name", "one", "--json",
    ]  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-m", "zoo", *line], capture_output=True, text=True, env=env, check=False
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["metrics"]["n"] == 6
    assert "it/s" not in done.stderr
    assert list(home.rglob("*")) == []
