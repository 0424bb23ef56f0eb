"""Writing a format: verified against the model, never left behind when it does not hold up."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from zoo.core import metadata, registry
from zoo.core.metadata import CheckpointInfo
from zoo.core.specs import ExporterSpec, InputSpec
from zoo.errors import DiskError, PluginError, UnknownNameError, UsageError, VerificationError
from zoo.exporting import formats

INPUT = InputSpec(size=(3, 16, 16), mean=(0.5, 0.4, 0.3), std=(0.2, 0.2, 0.1))
INFO = CheckpointInfo(model="tiny", classes=("cat", "dög", "emu"), input=INPUT)


def tiny() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.BatchNorm2d(8), nn.ReLU(), nn.Flatten(), nn.Linear(392, 3)
    )


@pytest.mark.parametrize("name", ["safetensors", "torch-export", "onnx"])
def test_each_format_computes_the_same_at_other_batch_sizes(name, tmp_path):
    result = formats.write(tiny(), name, tmp_path, info=INFO)
    assert result.verified
    assert result.batches == (1, 5)
    assert result.max_diff is not None
    assert result.max_diff <= 1e-5 < result.scale
    assert result.path.parent == tmp_path
    assert result.bytes == result.path.stat().st_size
    assert [p.name for p in tmp_path.iterdir()] == [result.path.name]


@pytest.mark.parametrize("name", ["safetensors", "torch-export", "onnx"])
def test_labels_input_and_steps_travel_inside_the_file(name, tmp_path):
    path = formats.write(tiny(), name, tmp_path, info=INFO).path
    spec = registry.load().find("exporter", name)
    from zoo.core.resolve import resolve

    stored = resolve(spec.target).metadata(path)
    assert json.loads(stored["labels"]) == ["cat", "dög", "emu"]
    assert formats.read_input(stored) == INPUT
    assert metadata.loads(stored["zoo"]) == INFO
    steps = [step["op"] for step in json.loads(stored["preprocess"])]
    assert steps == ["decode", "resize", "center_crop", "scale", "normalize"]


def test_the_model_is_left_as_it_was(tmp_path):
    model = tiny().train()
    before = {key: value.clone() for key, value in model.state_dict().items()}
    formats.write(model, "torch-export", tmp_path, info=INFO)
    assert model.training
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


class Sloppy(nn.Module):
    """Computes differently when it is traced: what a silent conversion bug looks like."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3 * 16 * 16, 3)

    def forward(self, images):
        bias = 0.1 if torch.compiler.is_exporting() else 0.0
        return self.linear(images.flatten(1)) + bias


def test_a_file_that_computes_something_else_is_not_kept(tmp_path):
    with pytest.raises(VerificationError, match="differ by") as caught:
        formats.write(Sloppy(), "torch-export", tmp_path, info=INFO)
    assert caught.value.exit_code == 11
    assert list(tmp_path.iterdir()) == []


def test_an_older_file_survives_a_failed_export(tmp_path):
    old = tmp_path / "tiny.pt2"
    old.write_bytes(b"old")
    with pytest.raises(VerificationError):
        formats.write(Sloppy(), "torch-export", tmp_path, info=INFO)
    assert old.read_bytes() == b"old"


def test_tolerance_is_a_share_of_the_largest_output(tmp_path):
    result = formats.write(Sloppy(), "torch-export", tmp_path, info=INFO, tolerance=1.0)
    assert result.max_diff == pytest.approx(0.1, abs=1e-3)


class Branching(nn.Module):
    def forward(self, images):
        return images.flatten(1)[:, :3] * (2 if images.sum() > 0 else 1)


def test_a_model_that_cannot_be_traced_is_one_line_with_a_way_on(tmp_path):
    with pytest.raises(VerificationError, match="cannot be written as torch-export") as caught:
        formats.write(Branching(), "torch-export", tmp_path, info=INFO)
    assert "\n" not in caught.value.message
    assert "safetensors" in caught.value.hint


def test_outputs_that_ignore_the_input_are_said_to_prove_little(tmp_path):
    model = tiny()
    nn.init.zeros_(model[-1].weight)
    result = formats.write(model, "safetensors", tmp_path, info=INFO)
    assert "do not depend on the input" in result.notes[0]


def test_tied_weights_come_back_under_each_name(tmp_path):
    model = nn.Sequential(nn.Flatten(), nn.Linear(768, 768), nn.Linear(768, 768))
    model[2].weight = model[1].weight
    result = formats.write(model, "safetensors", tmp_path, info=INFO)
    assert result.max_diff == 0


def test_the_suffix_must_fit_the_format(tmp_path):
    with pytest.raises(UsageError, match=r"\.onnx files") as caught:
        formats.write(tiny(), "onnx", tmp_path / "m.pt2", info=INFO)
    assert caught.value.hint.endswith("m.onnx")


def test_an_unknown_format_is_answered_with_close_names(tmp_path):
    with pytest.raises(UnknownNameError) as caught:
        formats.write(tiny(), "onx", tmp_path, info=INFO)
    assert "onnx" in caught.value.suggestions


def test_an_unknown_option_is_refused(tmp_path):
    with pytest.raises(UsageError, match="no option 'opsett'") as caught:
        formats.write(tiny(), "onnx", tmp_path, info=INFO, options={"opsett": 20})
    assert "opset" in caught.value.hint


def test_without_an_input_size_an_example_is_asked_for(tmp_path):
    with pytest.raises(UsageError, match="input size is not known"):
        formats.write(tiny(), "safetensors", tmp_path, info=CheckpointInfo())
    with pytest.raises(UsageError, match="at least two"):
        formats.write(tiny(), "safetensors", tmp_path, info=INFO, example=torch.zeros(1, 3, 16, 16))
    example = torch.randn(2, 3, 16, 16)
    assert formats.write(
        tiny(), "safetensors", tmp_path, info=CheckpointInfo(), example=example
    ).verified


def test_missing_packages_are_named_with_the_pip_line(tmp_path, monkeypatch):
    import importlib.util

    real = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda n, *a: None if n == "onnxscript" else real(n, *a)
    )
    with pytest.raises(UsageError, match="onnxscript") as caught:
        formats.write(tiny(), "onnx", tmp_path, info=INFO)
    assert "zoo-registry[onnx]" in caught.value.hint


def test_a_folder_that_cannot_be_made_is_a_disk_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError):
        formats.write(tiny(), "safetensors", tmp_path / "file" / "m.safetensors", info=INFO)


def write_only(model, example, path):
    torch.save(model.state_dict(), path)
    return path


def writes_nothing(model, example, path):
    return path


@pytest.fixture
def shelf_with(monkeypatch):
    """Put one more exporter on this process's shelf, as a plugin would."""

    def put(function):
        real = registry.load()
        spec = ExporterSpec(name="extra", target=f"{__name__}:{function.__name__}", suffix=".bin")

        class Shelf:
            def find(self, kind, name):
                return spec if name == "extra" else real.find(kind, name)

            def build(self, kind, name, *args, **options):
                return function(*args, **options)

        monkeypatch.setattr(registry, "load", Shelf)
        monkeypatch.setattr(formats, "target_of", lambda spec: function)

    return put


def test_a_format_that_cannot_be_read_back_says_that_nothing_was_verified(tmp_path, shelf_with):
    shelf_with(write_only)
    result = formats.write(tiny(), "extra", tmp_path, info=INFO)
    assert not result.verified
    assert "nothing was compared" in result.notes[0]
    assert result.line().endswith("written, not verified")


def test_an_exporter_that_writes_nothing_is_blamed(tmp_path, shelf_with):
    shelf_with(writes_nothing)
    with pytest.raises(Exception, match="wrote no file"):
        formats.write(tiny(), "extra", tmp_path, info=INFO)


def test_a_target_that_cannot_be_called_is_the_plugins_error(tmp_path, site):
    site.manifest("leaf", "[[exporter]]\nname = 'npz'\ntarget = 'math:pi'\nsuffix = '.npz'\n")
    with pytest.raises(
        PluginError, match="exporter leaf/npz: target math:pi is not call"
    ) as caught:
        formats.write(tiny(), "leaf/npz", tmp_path, info=INFO)
    assert caught.value.hint == "zoo plugins check leaf"


def test_results_are_paths_and_numbers(tmp_path):
    result = formats.write(tiny(), "safetensors", tmp_path / "deep" / "m.safetensors", info=INFO)
    assert isinstance(result.path, Path)
    assert len(result.sha256) == 64
    assert "max |diff| 0.0e+00 at batch 1 and 5" in result.line()
