"""zoo.engine.mend: a finished run's weights are written again from its checkpoints."""

import pytest
from safetensors.torch import load_file
from short_runs import begun

from zoo.core import registry
from zoo.engine.mend import mend
from zoo.engine.result import read_result
from zoo.engine.resume import go_on
from zoo.engine.saving.checkpoint import newest_state, read_state, save_state
from zoo.engine.saving.repair import best_state, state_after
from zoo.engine.saving.rundir import RunFolder
from zoo.engine.watch import Watch
from zoo.errors import BusyError, CheckpointError

FROZEN = {"allow_random_frozen": True, "freeze_upto": "conv1", "ema": 0.9}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def finished(**values):
    """A finished run whose best epoch is among the states that are kept."""
    run = begun(0, keep=9, **values)
    done = read_result(run)
    assert done is not None
    return run, done


def flip(path):
    data = bytearray(path.read_bytes())
    data[-9] ^= 4
    path.write_bytes(data)


def cut(path):
    path.write_bytes(path.read_bytes()[:-7])


@pytest.mark.parametrize("spoil", [flip, cut, lambda path: path.unlink()])
def test_resume_writes_the_same_bytes_again(spoil):
    run, _ = finished()
    weights = run / "model.safetensors"
    before = weights.read_bytes()
    spoil(weights)
    said = []
    assert len(list(go_on(run, registry.load(), watch=Watch(note=said.append)))) == 1
    assert weights.read_bytes() == before
    assert "is finished; model.safetensors was " in said[0]
    assert "written again from checkpoints/step-" in said[0]
    assert "written again" in (run / "log.txt").read_text()


def test_the_proof_and_averaged_weights_come_back_too():
    run, done = finished(**FROZEN)
    assert done.proof
    weights = run / "model.safetensors"
    before = weights.read_bytes()
    weights.unlink()
    assert "was gone" in mend(run, done)
    assert weights.read_bytes() == before
    assert mend(run, done) == ""


def test_whole_weights_are_left_alone_even_where_nothing_can_be_written():
    run, done = finished()
    before = (run / "model.safetensors").stat().st_mtime_ns
    with RunFolder.open(run):
        assert mend(run, done) == ""
    assert (run / "model.safetensors").stat().st_mtime_ns == before


def test_a_run_in_use_is_not_touched():
    run, done = finished()
    (run / "model.safetensors").unlink()
    with RunFolder.open(run), pytest.raises(BusyError):
        mend(run, done)


@pytest.mark.parametrize("spoil", [flip, lambda path: path.unlink()])
def test_without_the_best_state_it_says_what_is_lost_and_how_to_train_again(spoil):
    run, done = finished(name="mine")
    (run / "model.safetensors").unlink()
    spoil(best_state(run))
    with pytest.raises(CheckpointError, match=r"model\.safetensors is gone, and") as caught:
        mend(run, done)
    assert "zoo train --recipe runs/mine/recipe.toml --name mine-again" in caught.value.hint


def test_of_several_processes_the_first_mends(monkeypatch):
    run, done = finished()
    (run / "model.safetensors").unlink()
    monkeypatch.setenv("RANK", "1")
    assert mend(run, done) == ""


@pytest.mark.parametrize("spoil", [flip, lambda path: path.unlink()])
def test_a_run_that_goes_on_gets_its_best_weights_back(spoil):
    left, whole = begun(2, keep=9, name="left"), begun(0, keep=9, name="whole")
    at = newest_state(left).state.position()
    spoil(left / "model.safetensors")
    texts = [getattr(e, "text", "") for e in go_on(left, registry.load())]
    source = state_after(left, at.best_epoch + 1)
    assert any(text.endswith(f"written again from checkpoints/{source.name}") for text in texts)
    ours, theirs = (load_file(run / "model.safetensors") for run in (left, whole))
    assert all(bool((ours[name] == theirs[name]).all()) for name in theirs)
    one, other = read_result(left), read_result(whole)
    assert (one.best_epoch, one.metrics) == (other.best_epoch, other.metrics)


def test_a_run_that_lost_its_best_epoch_keeps_the_best_of_those_that_follow():
    left = begun(1, keep=9)
    (left / "model.safetensors").unlink()
    for path in (left / "checkpoints").iterdir():  # as if the best epoch were long ago
        state = read_state(path)
        state.skeleton["position"] |= {"best": 2.0, "best_epoch": -1}
        save_state(path, Moment(state), state.info, environment=state.environment)
    found = list(go_on(left, registry.load()))
    texts = [getattr(e, "text", "") for e in found]
    assert any("is gone, and the state of epoch 0, the best, is not kept" in text for text in texts)
    result = found[-1]
    assert result.best_epoch in (2, 3)
    assert mend(left, result) == ""


class Moment:
    """A state that was read, as one that is written."""

    def __init__(self, state):
        self.tensors, self.skeleton = state.tensors, state.skeleton
        self.epoch, self.step = state.info.epoch, state.info.step
