"""What was logged can be read back from the event files."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import torch
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

import zoo
from zoo.testing import plugin_contract
from zoo_tensorboard import TensorBoard

test_contract = plugin_contract("tensorboard")


@pytest.fixture
def logged(tmp_path):
    tracker = TensorBoard(tmp_path)
    for step in range(3):
        tracker.scalars({"train/loss": 1.0 / (step + 1), "lr": 0.1}, step)
    tracker.image("batch", torch.full((3, 4, 5), 200, dtype=torch.uint8), 2)
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 2, 3), torch.nn.BatchNorm2d(2)).train()
    before = model[1].running_mean.clone()
    tracker.graph(model, torch.zeros(1, 3, 8, 8))
    tracker.close()
    assert model.training
    assert torch.equal(model[1].running_mean, before)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    return events


def test_numbers_come_back_in_order(logged):
    assert sorted(logged.Tags()["scalars"]) == ["lr", "train/loss"]
    found = [(event.step, event.value) for event in logged.Scalars("train/loss")]
    assert found == [(0, 1.0), (1, 0.5), (2, pytest.approx(1 / 3))]


def test_images_and_the_graph_come_back(logged):
    (image,) = logged.Images("batch")
    assert (image.step, image.height, image.width) == (2, 4, 5)
    assert len(logged.Graph().node) > 2


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    """The event files of a real run, frozen up to its middle so that the loop trains a tail."""
    settings = {
        "output.dir": str(tmp_path_factory.mktemp("runs")),
        "output.trackers": ("tensorboard",),
        "output.strict": True,
        "freeze.allow_random_frozen": True,
        "data.options": {"per_class": 10, "size": 20},
        "data.workers": 0,
        "device.threads": 1,
    }
    run = zoo.train(
        "tutorials/catdog", data="demo", classes=4, epochs=2, set=settings, freeze_upto="conv1"
    )
    events = EventAccumulator(str(run.dir / "tensorboard"))
    events.Reload()
    return run, events


def test_a_runs_numbers_are_those_of_its_log(followed):
    run, events = followed
    rows = [json.loads(line) for line in (run.dir / "metrics.jsonl").read_text().splitlines()]
    epochs = [row for row in rows if row["kind"] == "epoch"]
    assert len(epochs) == 2
    for part in ("train", "val"):
        for name in ("loss", "top1"):
            logged = [(e.step, e.value) for e in events.Scalars(f"{part}/{name}")]
            own = [(row["step"], pytest.approx(row[part][name])) for row in epochs]
            assert logged == own


def test_a_run_shows_its_first_images_and_the_models_graph(followed):
    _, events = followed
    (image,) = events.Images("images/first")
    assert (image.step, image.height, image.width) == (0, 4 * 32, 4 * 32)
    names = {node.name for node in events.Graph().node}
    assert any("conv1" in name for name in names)
    assert any("fc" in name for name in names)


def test_importing_the_plugin_costs_neither_torch_nor_tensorboard():
    probe = "import sys, zoo_tensorboard; print([m for m in ('torch', 'tensorboard') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", probe], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
