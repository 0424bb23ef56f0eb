import pytest
import torch
from safetensors.torch import load_file, save_file

from zoo.core.specs import InputSpec
from zoo.engine.start.loading import load_run
from zoo.errors import CheckpointError, UnknownNameError


def test_the_model_is_ready_and_knows_its_classes(finished_run, fresh):
    found = load_run(str(finished_run), fresh())
    assert found.classes == ("dark", "light")
    assert isinstance(found.input, InputSpec)
    assert not found.model.training
    assert next(found.model.parameters()).dtype == torch.float32
    channels, height, width = found.input.size
    with torch.inference_mode():
        assert found.model(torch.zeros(3, channels, height, width)).shape == (3, 2)


def test_the_weights_are_those_of_the_file(finished_run, fresh):
    found = load_run(str(finished_run), fresh())
    stored = load_file(found.path)
    for name, tensor in found.model.state_dict().items():
        assert torch.equal(tensor, stored[name]), name


def test_the_file_alone_is_enough(finished_run, fresh, tmp_path):
    path = tmp_path / "alone.safetensors"
    path.write_bytes((finished_run / "model.safetensors").read_bytes())
    assert load_run(str(path), fresh()).classes == ("dark", "light")
    assert load_run(f"file:{path}", fresh()).path == path


def test_a_file_of_others_is_refused_with_the_way(fresh, tmp_path):
    path = tmp_path / "x.safetensors"
    save_file({"a": torch.zeros(1)}, path)
    with pytest.raises(CheckpointError, match="not written by zoo") as caught:
        load_run(str(path), fresh())
    assert "zoo import" in caught.value.hint


def test_a_damaged_file_is_named(finished_run, fresh, tmp_path):
    content = bytearray((finished_run / "model.safetensors").read_bytes())
    content[-1] ^= 1
    path = tmp_path / "damaged.safetensors"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"damaged\.safetensors"):
        load_run(str(path), fresh())


def test_a_model_whose_plugin_is_gone_names_it(finished_run, fresh, monkeypatch):
    monkeypatch.setenv("ZOO_PLUGINS", "")
    fresh.cache_clear()
    with pytest.raises(UnknownNameError, match="tutorials/lenet"):
        load_run(str(finished_run), fresh())
