"""zoo.exporting.target: a run's own files are never written over."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from zoo.core import registry
from zoo.core.metadata import CheckpointInfo
from zoo.core.specs import InputSpec
from zoo.engine.saving.checkpoint import save_weights
from zoo.errors import DiskError, UsageError
from zoo.exporting import formats
from zoo.exporting.target import choose_target

INFO = CheckpointInfo(model="tiny", run="model", input=InputSpec(size=(3, 8, 8)))


@pytest.fixture
def spec():
    return registry.load().find("exporter", "safetensors")


@pytest.fixture
def run(tmp_path):
    """A run called "model", with its best weights and one state."""
    folder = tmp_path / "runs" / "model"
    (folder / "checkpoints").mkdir(parents=True)
    save_weights(folder / "model.safetensors", {"w": torch.ones(2)}, INFO)
    save_weights(folder / "checkpoints" / "step-00000004.safetensors", {"w": torch.ones(2)}, INFO)
    return folder


def test_a_run_called_model_keeps_its_weights(run, spec):
    assert choose_target(run, spec, INFO) == run / "model-export.safetensors"


@pytest.mark.parametrize("name", ["model.safetensors", "checkpoints/step-00000004.safetensors"])
def test_a_runs_own_files_are_refused_with_a_name_that_is_free(run, spec, name):
    with pytest.raises(UsageError, match="does not replace it") as caught:
        choose_target(run / name, spec, INFO)
    assert caught.value.exit_code == 2
    other = caught.value.hint.removeprefix("--out ")
    assert choose_target(type(run)(other), spec, INFO).parent == run


def test_they_are_refused_even_where_they_are_gone_or_damaged(run, spec):
    (run / "model.safetensors").write_bytes(b"rot")
    with pytest.raises(UsageError, match="a run keeps its best weights"):
        choose_target(run / "model.safetensors", spec, INFO)
    (run / "model.safetensors").unlink()
    with pytest.raises(UsageError, match="a run keeps its best weights"):
        choose_target(run / "checkpoints" / ".." / "model.safetensors", spec, INFO)


def test_the_file_that_the_model_came_from_is_refused(tmp_path, spec):
    source = tmp_path / "tiny.safetensors"
    source.write_bytes(b"somebody's")
    with pytest.raises(UsageError, match="the model is read from"):
        choose_target(source, spec, INFO, source)
    own = CheckpointInfo(model="tiny")
    assert choose_target(tmp_path, spec, own, source).name == "tiny-export.safetensors"


def test_a_copy_of_a_runs_weights_is_refused_too(tmp_path, run, spec):
    copy = tmp_path / "backup.safetensors"
    copy.write_bytes((run / "model.safetensors").read_bytes())
    with pytest.raises(UsageError, match=r"backup\.safetensors is a checkpoint"):
        choose_target(copy, spec, INFO)


def test_a_former_export_is_replaced(run):
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 3))
    best = (run / "model.safetensors").read_bytes()
    first = formats.write(model, "safetensors", run, info=INFO).path
    nn.init.ones_(model[1].weight)
    assert formats.write(model, "safetensors", first, info=INFO).path == first
    assert (run / "model.safetensors").read_bytes() == best


def test_a_folder_that_cannot_be_made_is_a_disk_error(tmp_path, spec):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError, match="cannot make"):
        choose_target(tmp_path / "file" / "sub" / "m.safetensors", spec, INFO)
