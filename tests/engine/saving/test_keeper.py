import errno
import os
import shutil
import threading
from dataclasses import replace

import pytest
import torch
from tinyrun import CPU, TinyRun, fingerprint

from zoo.core.metadata import WEIGHTS_FILE, CheckpointInfo
from zoo.engine.processes.distributed import ALONE
from zoo.engine.saving import keeper as keeper_module
from zoo.engine.saving.atomic import disk_error
from zoo.engine.saving.checkpoint import list_states, load_weights
from zoo.engine.saving.keeper import Keeper, drift, environment
from zoo.engine.saving.live import Position
from zoo.engine.saving.rundir import RunFolder
from zoo.errors import DiskError, NumericsError

INFO = CheckpointInfo(model="tiny")


@pytest.fixture
def folder(tmp_path):
    with RunFolder.create(tmp_path, name="run") as made:
        yield made


@pytest.fixture
def live(tmp_path):
    return TinyRun(tmp_path / "unused").live


def at(live, step):
    live.position = Position(step=step)
    with torch.no_grad():
        live.model[0].weight.add_(0.01)
    return live


def test_states_are_kept_and_pruned(folder, live):
    keeper = Keeper(folder, INFO, keep=3)
    for step in range(1, 6):
        saved = keeper.save(at(live, step), reason="interval")
        assert (saved.step, saved.reason, saved.best) == (step, "interval", False)
    assert [step for step, _ in list_states(folder.path)] == [5, 4, 3]
    assert keeper.last_good == 5


def test_two_states_are_the_least(folder, live):
    keeper = Keeper(folder, INFO, keep=1)
    for step in (1, 2, 3):
        keeper.save(at(live, step), reason="epoch")
    assert [step for step, _ in list_states(folder.path)] == [3, 2]


def test_a_metric_that_is_not_a_number_is_left_out_of_the_record(folder, live):
    best = {"top1": 0.5, "loss": float("inf"), "matthews": float("nan")}
    Keeper(folder, INFO).save(at(live, 4), reason="epoch", best=best)
    _, info = load_weights(folder.path / WEIGHTS_FILE)
    assert info.metrics == {"top1": 0.5}


def test_the_best_weights_are_the_judged_ones_with_their_metrics(folder, live):
    Keeper(folder, INFO).save(at(live, 4), reason="epoch", best={"top1": 0.5})
    tensors, info = load_weights(folder.path / WEIGHTS_FILE)
    assert (info.step, info.metrics) == (4, {"top1": 0.5})
    assert torch.equal(tensors["0.weight"], live.ema.module[0].weight)


def test_a_model_that_is_not_finite_is_never_saved(folder, live):
    keeper = Keeper(folder, INFO)
    keeper.save(at(live, 1), reason="epoch")
    live.model[6].weight.data[0, 0] = float("inf")
    with pytest.raises(
        NumericsError, match=r"6\.weight is not finite.*step 1 stays valid"
    ) as caught:
        keeper.save(at(live, 2), reason="epoch", best={"loss": 0.1})
    assert caught.value.exit_code == 9
    assert [step for step, _ in list_states(folder.path)] == [1]
    assert not (folder.path / WEIGHTS_FILE).exists()


def test_resume_restores_the_newest_good_one_and_rewinds_the_metrics(folder, live, tmp_path):
    keeper = Keeper(folder, INFO)
    kept = {}
    for step in (1, 2):
        folder.record({"kind": "step", "epoch": 0, "step": step})
        keeper.save(at(live, step), reason="interval")
        kept = fingerprint(live) if step == 1 else kept
    folder.record({"kind": "step", "epoch": 0, "step": 3})
    path = list_states(folder.path)[0][1]
    path.write_bytes(path.read_bytes()[:-1])
    fresh = TinyRun(tmp_path / "fresh").live
    found = Keeper(folder, INFO).resume(fresh)
    assert found.state.step == 1
    assert fingerprint(fresh) == kept
    assert "step-00000002.safetensors is not usable" in found.notes()[0]
    assert folder.metrics.read_text().count("\n") == 1


def test_resume_of_an_empty_folder_touches_nothing(folder, live):
    before = fingerprint(live)
    assert Keeper(folder, INFO).resume(live).state is None
    assert fingerprint(live) == before


def test_ranks_that_do_not_write_do_nothing(live):
    keeper = Keeper(None, INFO)
    keeper.require_space(live)
    assert keeper.save(live, reason="epoch") is None


def refusing(monkeypatch, times):
    """Refuse the first saves of a state as a full disk does."""
    real, left = keeper_module.save_state, [times]

    def save(path, *args, **kwargs):
        if left[0]:
            left[0] -= 1
            raise disk_error(OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)), path)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(keeper_module, "save_state", save)


def test_a_full_disk_is_tried_again_after_making_room(folder, live, monkeypatch):
    keeper = Keeper(folder, INFO)
    for step in (1, 2):
        keeper.save(at(live, step), reason="interval")
    refusing(monkeypatch, 1)
    keeper.save(at(live, 3), reason="interval")
    assert [step for step, _ in list_states(folder.path)] == [3, 2]


def test_a_disk_that_stays_full_says_what_stays_valid(folder, live, monkeypatch):
    keeper = Keeper(folder, INFO)
    for step in (1, 2):
        keeper.save(at(live, step), reason="interval")
    refusing(monkeypatch, 9)
    with pytest.raises(DiskError, match="the disk is full; the state of step 2 stays valid"):
        keeper.save(at(live, 3), reason="interval")
    assert [step for step, _ in list_states(folder.path)] == [2]
    assert not list(folder.staging.iterdir())


def test_space_for_all_that_will_be_saved_is_required_first(folder, live, monkeypatch):
    Keeper(folder, INFO).require_space(live)
    monkeypatch.setattr(
        RunFolder,
        "require_space",
        lambda self, needed: (_ for _ in ()).throw(AssertionError(needed)),
    )
    state = sum(p.numel() * 4 for p in live.model.parameters())
    with pytest.raises(AssertionError) as caught:
        Keeper(folder, INFO).require_space(live)
    assert caught.value.args[0] > 2 * 4 * state


def test_the_environment_says_what_bits_depend_on():
    one = environment(CPU, ALONE, data="abc")
    assert one["torch"] == torch.__version__
    assert drift(one, one) == ()
    other = environment(replace(CPU, threads=9), ALONE, data="abc")
    assert drift(one, other) == ("threads was 1, is 9",)
    assert drift({}, {"a": 1}) == ("a was None, is 1",)


def slow_disk(monkeypatch, gate):
    """Hold every write of a state until the gate opens."""
    real = keeper_module.save_state

    def save(*args, **kwargs):
        assert gate.wait(20)
        return real(*args, **kwargs)

    monkeypatch.setattr(keeper_module, "save_state", save)


def test_training_goes_on_while_a_save_is_written(folder, live, tmp_path, monkeypatch):
    gate = threading.Event()
    slow_disk(monkeypatch, gate)
    keeper = Keeper(folder, INFO)
    assert keeper.begin(at(live, 1), reason="interval") is None
    want = fingerprint(live)
    assert keeper.collect(wait=False) is None
    assert list_states(folder.path) == []
    at(live, 2)  # training changes every bit meanwhile
    gate.set()
    saved = keeper.collect(wait=True)
    assert (saved.step, keeper.last_good) == (1, 1)
    assert 0 <= saved.held < saved.seconds
    fresh = TinyRun(tmp_path / "fresh").live
    Keeper(folder, INFO).resume(fresh)
    assert fingerprint(fresh) == want


def test_a_save_waits_for_the_one_before_and_gives_its_report(folder, live):
    keeper = Keeper(folder, INFO)
    assert keeper.begin(at(live, 1), reason="interval") is None
    assert keeper.begin(at(live, 2), reason="epoch").step == 1
    assert keeper.collect(wait=True).reason == "epoch"
    assert keeper.collect(wait=True) is None
    assert [step for step, _ in list_states(folder.path)] == [2, 1]


def test_a_failed_save_is_told_at_the_next_look_and_the_one_before_stays(folder, live, monkeypatch):
    keeper = Keeper(folder, INFO)
    keeper.save(at(live, 1), reason="interval")
    refusing(monkeypatch, 9)
    keeper.begin(at(live, 2), reason="interval")
    with pytest.raises(DiskError, match="the disk is full; the state of step 1 stays valid"):
        keeper.collect(wait=True)
    assert [step for step, _ in list_states(folder.path)] == [1]


def test_going_back_waits_for_the_save_that_is_being_written(folder, live, monkeypatch):
    gate = threading.Event()
    slow_disk(monkeypatch, gate)
    keeper = Keeper(folder, INFO)
    keeper.begin(at(live, 3), reason="interval")
    threading.Timer(0.1, gate.set).start()
    assert keeper.resume(at(live, 9)).state.step == 3
    assert live.position.step == 3


@pytest.mark.parametrize("number", [errno.EDQUOT, errno.EROFS, errno.EIO])
def test_each_refusal_has_its_reason_and_leaves_the_save_before(folder, live, monkeypatch, number):
    keeper = Keeper(folder, INFO)
    keeper.save(at(live, 1), reason="epoch", best={"loss": 1.0})
    before = (folder.path / WEIGHTS_FILE).read_bytes()

    def refuse(*_args, **_kwargs):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("zoo.engine.saving.atomic.os.replace", refuse)
    reasons = {errno.EDQUOT: "quota", errno.EROFS: "read-only", errno.EIO: "input/output"}
    with pytest.raises(DiskError, match=f"{reasons[number]}.*; the state of step 1 stays valid"):
        keeper.save(at(live, 2), reason="epoch", best={"loss": 0.5})
    assert (folder.path / WEIGHTS_FILE).read_bytes() == before
    assert [step for step, _ in list_states(folder.path)] == [1]
    assert not list(folder.staging.iterdir())


def test_a_folder_that_vanished_is_not_made_anew(folder, live):
    keeper = Keeper(folder, INFO)
    keeper.save(at(live, 1), reason="epoch")
    shutil.rmtree(folder.path)
    with pytest.raises(DiskError, match=r"the run is gone") as caught:
        keeper.save(at(live, 2), reason="epoch")
    assert caught.value.exit_code == 8
    assert not folder.path.exists()


def test_a_disk_that_neither_writes_nor_deletes_is_a_disk_error(folder, live, monkeypatch):
    keeper = Keeper(folder, INFO)
    for step in (1, 2):
        keeper.save(at(live, step), reason="interval")
    refusing(monkeypatch, 9)

    def stuck(_path, missing_ok=False):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr("pathlib.Path.unlink", stuck)
    with pytest.raises(DiskError, match="the state of step 2 stays valid"):
        keeper.save(at(live, 3), reason="interval")
    monkeypatch.undo()
    assert [step for step, _ in list_states(folder.path)] == [2, 1]
