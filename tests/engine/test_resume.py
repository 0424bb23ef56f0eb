"""zoo.engine.resume: going on with a run."""

import os
import shutil

import pytest
import safetensors.torch
from short_runs import begun

from zoo.core import registry
from zoo.engine.prefix import choice, use
from zoo.engine.reports import EpochReport
from zoo.engine.result import RESULT_FILE, RunResult
from zoo.engine.resume import go_on
from zoo.engine.saving import checkpoint
from zoo.engine.saving.checkpoint import list_states
from zoo.engine.saving.rundir import RunFolder
from zoo.errors import BusyError, DataError, UsageError


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_it_ends_with_the_bits_of_the_run_that_was_not_left():
    left, whole = begun(1, name="left"), begun(0, name="whole")
    at = list_states(left)[0][0]  # a save is told of when it is done, maybe an epoch later
    assert at in (4, 8)
    found = list(go_on(left, registry.load()))
    assert [e.epoch for e in found if isinstance(e, EpochReport)] == list(range(at // 4, 3))
    from safetensors.torch import load_file

    one, other = load_file(left / "model.safetensors"), load_file(whole / "model.safetensors")
    assert all(bool((one[name] == other[name]).all()) for name in other)
    assert (left / "metrics.jsonl").read_text().count('"kind":"step"') == 12


def test_a_finished_run_only_gives_its_result():
    whole = begun(0)
    said = []
    from zoo.engine.watch import Watch

    (result,) = go_on(whole, registry.load(), watch=Watch(note=said.append))
    assert isinstance(result, RunResult)
    assert said == [f"{whole} is finished"]
    assert (whole / RESULT_FILE).is_file()


def test_a_folder_that_is_no_run(tmp_path):
    with pytest.raises(UsageError, match="not a run folder"):
        list(go_on(tmp_path, registry.load()))


def test_other_images_are_refused(photos, tmp_path):
    own = tmp_path / "photos"
    shutil.copytree(photos, own)
    left = begun(1, data=str(own), classes=None)
    image = next(path for path in sorted(own.rglob("*")) if path.is_file())
    image.unlink()
    with pytest.raises(DataError, match="the data changed since the run began"):
        list(go_on(left, registry.load()))


def test_a_run_without_a_whole_checkpoint_starts_again():
    left = begun(1)
    for path in (left / "checkpoints").iterdir():
        path.write_bytes(path.read_bytes()[:-7])
    found = list(go_on(left, registry.load()))
    assert any("starts from the beginning" in getattr(e, "text", "") for e in found)
    assert isinstance(found[-1], RunResult)
    assert found[-1].epochs == 3


def test_relative_data_is_found_from_another_folder(photos, tmp_path, monkeypatch):
    shutil.copytree(photos, tmp_path / "photos")
    left = tmp_path / begun(1, name="left", data="photos", classes=None)
    whole = tmp_path / begun(0, name="whole", data="photos", classes=None)
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert isinstance(list(go_on(left, registry.load()))[-1], RunResult)
    one, other = ((run / "model.safetensors").read_bytes() for run in (left, whole))
    from safetensors.torch import load

    assert all(bool((load(one)[k] == v).all()) for k, v in load(other).items())


def test_relative_data_that_is_gone_is_said(photos, tmp_path, monkeypatch):
    shutil.copytree(photos, tmp_path / "photos")
    left = tmp_path / begun(1, name="left", data="photos", classes=None)
    shutil.rmtree(tmp_path / "photos")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    with pytest.raises(DataError, match="the data of the run is gone"):
        list(go_on(left, registry.load()))


def test_a_run_in_use_is_refused_before_its_data_is_looked_at(photos, tmp_path):
    shutil.copytree(photos, tmp_path / "photos")
    left = begun(1, name="left", data="photos", classes=None)
    shutil.rmtree(tmp_path / "photos")
    with (
        RunFolder.open(left),
        pytest.raises(BusyError, match=rf"in use by process {os.getpid()} on") as caught,
    ):
        list(go_on(left, registry.load()))
    assert caught.value.exit_code == 10


@pytest.mark.parametrize("frozen", ["conv2", "fc2"])
def test_less_memory_does_not_change_what_training_is_shown(frozen, monkeypatch):
    """``--views auto`` decides by what fits when the run begins; going on keeps to it."""
    values = {
        "classes": 4, "data_option": {"per_class": 20}, "batch_size": 16, "epochs": 8,
        "freeze_upto": frozen, "allow_random_frozen": True, "transform": "random-crop",
    }  # fmt: skip
    monkeypatch.setattr(choice, "FEW", 10)
    monkeypatch.setattr(choice, "SAMPLES", 100)
    left, whole = begun(1, name="left", **values), begun(0, name="whole", **values)
    kept = checkpoint.newest_state(left).state.position()
    assert 0 < kept.views < 8
    for name in ("memory_budget", "disk_budget", "easy_budget"):
        monkeypatch.setattr(use, name, lambda *_: 0)
    list(go_on(left, registry.load()))
    one, other = (safetensors.torch.load_file(run / "model.safetensors") for run in (left, whole))
    assert all(bool((one[name] == other[name]).all()) for name in other)
