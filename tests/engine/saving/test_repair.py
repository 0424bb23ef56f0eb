"""zoo.engine.saving.repair: hints that hold for the file that they are about."""

import pytest
from short_runs import begun

from zoo.engine.saving import tensorfile
from zoo.engine.saving.checkpoint import list_states
from zoo.engine.saving.repair import best_state, way_back
from zoo.errors import CheckpointError


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_finished_runs_weights_come_from_its_best_state():
    run = begun(0, keep=9)
    state = best_state(run)
    weights = run / "model.safetensors"
    assert way_back(weights) == f"zoo resume {run} writes it again from checkpoints/{state.name}"
    weights.write_bytes(weights.read_bytes()[:-7])
    with pytest.raises(CheckpointError) as caught:
        tensorfile.read(weights)
    assert caught.value.hint == way_back(weights)
    state.unlink()
    assert best_state(run) is None
    assert way_back(weights) == "restore it from a copy"
    assert "its run is finished" in way_back(list_states(run)[0][1])


def test_a_begun_run_falls_back_to_the_save_before():
    run = begun(1)
    assert best_state(run) is None
    assert way_back(list_states(run)[0][1]) == f"zoo resume {run} falls back to the save before it"


def test_any_other_file_comes_from_a_copy(tmp_path):
    assert way_back(tmp_path / "model.safetensors") == "restore it from a copy"
    assert best_state(tmp_path) is None
