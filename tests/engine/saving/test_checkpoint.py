import json

import pytest
import torch
from safetensors.torch import load_file
from tinyrun import TinyRun, fingerprint, tiny_model

from zoo.core.metadata import CheckpointInfo, read_header
from zoo.engine.saving import tensorfile
from zoo.engine.saving.checkpoint import (
    list_states,
    load_weights,
    newest_state,
    prune_states,
    read_state,
    save_state,
    save_weights,
    state_path,
)
from zoo.engine.saving.moment import Moment
from zoo.errors import CheckpointError, DiskError

INFO = CheckpointInfo(model="tiny", classes=("a", "b", "c"), num_classes=3)


def test_weights_come_back_with_their_record(tmp_path):
    path = tmp_path / "model.safetensors"
    model = tiny_model()
    digest = save_weights(path, model.state_dict(), INFO)
    tensors, info = load_weights(path)
    assert info == INFO
    assert all(torch.equal(tensors[k], v) for k, v in model.state_dict().items())
    assert load_file(path).keys() == model.state_dict().keys()
    assert read_header(path).metadata["sha256"] == digest
    assert read_header(path).info == INFO


def test_damage_is_found_unless_told_not_to_look(tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(path, tiny_model().state_dict(), INFO)
    raw = bytearray(path.read_bytes())
    raw[-5] ^= 4
    path.write_bytes(raw)
    with pytest.raises(CheckpointError, match="damaged"):
        load_weights(path)
    assert load_weights(path, verify=False)[1] == INFO


def test_extra_state_that_is_no_tensor_is_left_out_of_weights(tmp_path):
    save_weights(tmp_path / "a", {"x": torch.ones(1), "_extra_state": {"a": 1}}, INFO)
    assert load_weights(tmp_path / "a")[0].keys() == {"x"}


@pytest.fixture
def run(tmp_path):
    made = TinyRun(tmp_path / "run", epochs=3)
    list(made.go())
    return made


def test_a_state_holds_everything_in_one_file(tmp_path, run):
    path = tmp_path / "state.safetensors"
    save_state(path, Moment.of(run.live), INFO, environment={"torch": "x"})
    state = read_state(path)
    assert state.step == run.live.position.step
    assert state.environment == {"torch": "x"}
    assert {name.partition("/")[0] for name in state.tensors} == {"model", "ema", "optim"}
    fresh = TinyRun(tmp_path / "fresh", epochs=3)
    state.restore(fresh.live)
    assert fingerprint(fresh.live) == fingerprint(run.live)


def test_weights_can_be_taken_out_of_a_state(tmp_path, run):
    tensors, info = load_weights(list_states(run.folder)[0][1])
    assert info is not None
    assert all(torch.equal(tensors[k], v) for k, v in run.live.judged.state_dict().items())


def test_weights_are_not_a_state(tmp_path):
    path = tmp_path / "model.safetensors"
    save_weights(path, tiny_model().state_dict(), INFO)
    with pytest.raises(CheckpointError, match="weights only") as caught:
        read_state(path)
    assert f"file:{path}" in caught.value.hint


def test_a_state_of_a_newer_zoo_is_refused(tmp_path):
    path = tmp_path / "a.safetensors"
    state = json.dumps({"format": 99, "live": {}, "environment": {}})
    tensorfile.write(path, {}, {"zoo": "{}", "state": state})
    with pytest.raises(CheckpointError, match="newer"):
        read_state(path)
    tensorfile.write(path, {}, {"zoo": "{}", "state": "[1"})
    with pytest.raises(CheckpointError, match="damaged"):
        read_state(path)


def test_the_newest_is_found_by_number_not_by_text(tmp_path, run):
    live = run.live
    for step in (100_000_000, 99_999_999):
        live.position.step = step
        save_state(state_path(run.folder, step), Moment.of(live), INFO)
    (run.folder / "checkpoints" / "step-00000001.safetensors.tmp").write_bytes(b"")
    (run.folder / "checkpoints" / "notes.txt").write_bytes(b"")
    assert [step for step, _ in list_states(run.folder)][:2] == [100_000_000, 99_999_999]
    assert newest_state(run.folder).state.step == 100_000_000


@pytest.mark.parametrize("damage", ["truncate", "empty", "flip", "zero-tail", "pickle", "renamed"])
def test_a_damaged_state_is_passed_over_and_named(run, damage):
    (newest, path), (older, _) = list_states(run.folder)[:2]
    raw = bytearray(path.read_bytes())
    if damage == "truncate":
        path.write_bytes(raw[: len(raw) // 2])
    elif damage == "empty":
        path.write_bytes(b"")
    elif damage == "flip":
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw)
    elif damage == "zero-tail":
        path.write_bytes(raw[:-512] + bytes(512))
    elif damage == "pickle":
        torch.save({}, path)
    elif damage == "renamed":
        path.rename(state_path(run.folder, newest + 1))
    found = newest_state(run.folder)
    assert found.state.step == older
    assert len(found.rejected) == 1
    (note,) = found.notes()
    assert "not usable" in note
    assert f"going back to step {older}" in note


def test_nothing_good_is_said_too(run):
    for _, path in list_states(run.folder):
        path.write_bytes(b"")
    found = newest_state(run.folder)
    assert found.state is None
    assert all("going back to the start" in note for note in found.notes())
    assert newest_state(run.folder / "nowhere").state is None


def test_old_states_go_only_when_the_newest_is_good(run):
    for step in (20, 21, 22):
        run.live.position.step = step
        save_state(state_path(run.folder, step), Moment.of(run.live), INFO)
    assert len(prune_states(run.folder, 1)) == 3
    assert [step for step, _ in list_states(run.folder)] == [22, 21]
    assert prune_states(run.folder, 2) == []
    run.live.position.step = 23
    save_state(state_path(run.folder, 23), Moment.of(run.live), INFO)
    path = state_path(run.folder, 23)
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    with pytest.raises(CheckpointError):
        prune_states(run.folder, 2)
    assert len(list_states(run.folder)) == 3


def test_a_refused_write_is_a_disk_error(tmp_path, run):
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(DiskError):
        save_state(tmp_path / "file" / "a", Moment.of(run.live), INFO)
