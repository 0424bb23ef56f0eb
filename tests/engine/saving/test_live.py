import pytest
import torch
from tinyrun import TinyRun, fingerprint, tiny_model

from zoo.engine.saving.live import Position, check_fit
from zoo.errors import CheckpointError


@pytest.fixture
def run(tmp_path):
    made = TinyRun(tmp_path / "run", epochs=1)
    list(made.go())
    return made


def test_capture_and_restore_are_inverse(tmp_path, run):
    tensors, skeleton = run.live.capture()
    fresh = TinyRun(tmp_path / "other", epochs=1)
    assert fingerprint(fresh.live) != fingerprint(run.live)
    fresh.live.restore(tensors, skeleton)
    assert fingerprint(fresh.live) == fingerprint(run.live)
    assert fresh.live.position == run.live.position


def test_judged_is_the_average_if_there_is_one(tmp_path, run):
    assert run.live.judged is run.live.ema.module
    plain = TinyRun(tmp_path / "plain", ema=None)
    assert plain.live.judged is plain.live.model


def test_another_model_is_refused_before_anything_is_touched(tmp_path, run):
    tensors, skeleton = run.live.capture()
    other = TinyRun(tmp_path / "other", epochs=1)
    other.live.model[6] = torch.nn.Linear(24, 5)
    before = other.live.model[0].weight.clone()
    with pytest.raises(CheckpointError, match=r"6\.weight is \(3, 24\), the model has \(5, 24\)"):
        other.live.restore(tensors, skeleton)
    assert torch.equal(before, other.live.model[0].weight)


def test_ema_on_one_side_only_is_refused(tmp_path, run):
    tensors, skeleton = run.live.capture()
    with pytest.raises(CheckpointError, match="averaged weights"):
        TinyRun(tmp_path / "other", ema=None).live.restore(tensors, skeleton)


@pytest.mark.parametrize("gone", ["model", "optim", "schedule", "position"])
def test_an_incomplete_state_is_a_checkpoint_error(run, gone):
    tensors, skeleton = run.live.capture()
    with pytest.raises(CheckpointError, match="damaged or incomplete"):
        run.live.restore(tensors, {key: v for key, v in skeleton.items() if key != gone})
    with pytest.raises(CheckpointError):
        run.live.restore(tensors, skeleton | {"position": {"epoch": "three"}})


def test_missing_and_unexpected_names_are_counted():
    model = tiny_model()
    state = model.state_dict()
    state["extra.weight"] = torch.zeros(1)
    del state["6.weight"], state["6.bias"]
    with pytest.raises(CheckpointError, match=r"2 missing \(6.*1 unexpected \(extra\.weight\)"):
        check_fit(model, state)
    check_fit(model, model.state_dict())


def test_a_position_starts_at_the_start():
    assert Position() == Position(epoch=0, batch=0, step=0, finished=False)
    assert Position().bad is not Position().bad


def test_a_scalers_state_comes_back(tmp_path, run):
    run.live.scaler = torch.amp.GradScaler("cpu", init_scale=64.0, growth_interval=7)
    run.live.scaler.scale(torch.ones(1))
    tensors, skeleton = run.live.capture()
    fresh = TinyRun(tmp_path / "other", epochs=1)
    fresh.live.scaler = torch.amp.GradScaler("cpu")
    fresh.live.restore(tensors, skeleton)
    assert fresh.live.scaler.state_dict() == run.live.scaler.state_dict()
