import pytest
import torch
from tinyrun import TinyRun, fingerprint

from zoo.engine.saving.moment import HostCopy, Moment


@pytest.fixture
def live(tmp_path):
    run = TinyRun(tmp_path / "run", epochs=1)
    list(run.go())
    return run.live


def bits(moment):
    return {name: tensor.clone() for name, tensor in moment.tensors.items()}


def test_a_copy_is_of_its_moment_whatever_training_does_next(live):
    copy = HostCopy()
    taken = copy.take(live)
    before, counters = bits(taken), dict(taken.skeleton["position"])
    with torch.no_grad():
        for tensor in Moment.of(live).tensors.values():
            tensor.fill_(1)
    live.position.step += 1
    live.position.sums[0] = 99.0
    assert all(torch.equal(taken.tensors[name], value) for name, value in before.items())
    assert taken.skeleton["position"] == counters
    assert taken.step == counters["step"] == live.position.step - 1


def test_a_copy_restores_to_the_same_bits(live, tmp_path):
    fresh = TinyRun(tmp_path / "fresh", epochs=1).live
    taken = HostCopy().take(live)
    fresh.restore(taken.tensors, taken.skeleton)
    assert fingerprint(fresh) == fingerprint(live)


def test_the_memory_is_used_again(live):
    copy = HostCopy()
    first = {name: t.data_ptr() for name, t in copy.take(live).tensors.items()}
    again = {name: t.data_ptr() for name, t in copy.take(live).tensors.items()}
    assert first == again
    assert not set(again.values()) & {t.data_ptr() for t in Moment.of(live).tensors.values()}


def test_a_tensor_of_another_shape_gets_other_memory(live):
    copy = HostCopy()
    copy.take(live)
    live.model.register_buffer("late", torch.arange(3.0))
    assert copy.take(live).tensors["model/late"].tolist() == [0.0, 1.0, 2.0]
    live.model.late = torch.arange(5)
    taken = copy.take(live).tensors["model/late"]
    assert (taken.tolist(), taken.dtype) == ([0, 1, 2, 3, 4], torch.int64)
    del live.model.late
    assert "model/late" not in copy.take(live).tensors


def test_tensors_in_any_layout_are_copied_as_they_are(live):
    odd = torch.randn(2, 3, 4, 4).to(memory_format=torch.channels_last)
    live.model.register_buffer("odd", odd)
    live.model.register_buffer("wide", torch.ones(1).expand(4))
    taken = HostCopy().take(live)
    assert torch.equal(taken.tensors["model/odd"], odd)
    assert taken.tensors["model/odd"].stride() == odd.stride()
    assert taken.tensors["model/wide"].tolist() == [1.0] * 4


def test_the_weights_are_the_averaged_ones_where_there_are_any(live, tmp_path):
    found = HostCopy().take(live).weights()
    assert found.keys() == live.ema.module.state_dict().keys()
    assert all(torch.equal(v, found[k]) for k, v in live.ema.module.state_dict().items())
    plain = TinyRun(tmp_path / "plain", ema=None).live
    found = Moment.of(plain).weights()
    assert all(torch.equal(v, found[k]) for k, v in plain.model.state_dict().items())


def test_not_finite_names_the_tensor(live):
    assert Moment.of(live).not_finite() == ""
    live.model[1].running_mean[0] = float("nan")
    assert Moment.of(live).not_finite() == "1.running_mean"


def test_models_with_float8_numbers_can_be_looked_at(live):
    live.model.register_buffer("odd", torch.ones(3).to(torch.float8_e4m3fn))
    assert Moment.of(live).not_finite() == ""
