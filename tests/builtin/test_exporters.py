"""The three formats as their own runtimes see them."""

from __future__ import annotations

import json
import zipfile

import pytest
import torch
from torch import nn

from zoo.builtin import exporters

WORDS = {"labels": json.dumps(["Käse", "犬"]), "zoo": "{}"}


class Small(nn.Module):
    """A convolution, a norm, a buffer that is not saved, and tied weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3)
        self.norm = nn.BatchNorm2d(4)
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.register_buffer("scale", torch.tensor(2.0), persistent=False)

    def forward(self, images):
        maps = self.norm(self.conv(images)).relu().mean((2, 3))
        return self.second(self.first(maps)) * self.scale


@pytest.fixture
def model():
    torch.manual_seed(0)
    model = Small()
    model.train()(torch.randn(8, 3, 8, 8))  # so that running statistics are not the default
    return model.eval()


FORMATS = [
    (exporters.safetensors, "m.safetensors"),
    (exporters.torch_export, "m.pt2"),
    (exporters.onnx, "m.onnx"),
]


@pytest.mark.parametrize(("exporter", "name"), FORMATS)
@pytest.mark.parametrize("count", [1, 2, 7])
def test_what_is_read_back_computes_the_same_at_any_batch(exporter, name, count, model, tmp_path):
    path = exporter(model, torch.randn(2, 3, 8, 8), tmp_path / name, metadata=WORDS)
    images = torch.randn(count, 3, 8, 8)
    with torch.inference_mode():
        torch.testing.assert_close(exporter.load(path, model)(images), model(images))


@pytest.mark.parametrize(("exporter", "name"), FORMATS)
def test_text_comes_back_as_it_was(exporter, name, model, tmp_path):
    path = exporter(model, torch.randn(2, 3, 8, 8), tmp_path / name, metadata=WORDS)
    assert WORDS.items() <= exporter.metadata(path).items()


def test_safetensors_are_read_by_everybody(model, tmp_path):
    from safetensors.torch import load_file

    path = exporters.safetensors(
        model, torch.zeros(2, 3, 8, 8), tmp_path / "m.safetensors", metadata=WORDS
    )
    tensors = load_file(path)
    assert set(tensors) == set(model.state_dict())
    assert torch.equal(tensors["first.weight"], tensors["second.weight"])
    assert exporters.safetensors.metadata(path)["format"] == "pt"


def test_a_tensor_that_is_missing_is_not_taken_from_the_model(model, tmp_path):
    from safetensors.torch import load_file, save_file

    path = exporters.safetensors(
        model, torch.zeros(2, 3, 8, 8), tmp_path / "m.safetensors", metadata={}
    )
    tensors = load_file(path)
    del tensors["conv.bias"]
    save_file(tensors, path)
    with pytest.raises(RuntimeError, match=r"conv\.bias"):
        exporters.safetensors.load(path, model)


def test_pt2_is_an_archive_that_torch_alone_reads(model, tmp_path):
    path = exporters.torch_export(
        model, torch.randn(2, 3, 8, 8), tmp_path / "m.pt2", metadata=WORDS
    )
    assert zipfile.is_zipfile(path)
    program = torch.export.load(path)
    images = torch.randn(3, 3, 8, 8)
    torch.testing.assert_close(program.module()(images), model(images))


def test_onnx_is_one_valid_file_with_a_free_batch(model, tmp_path):
    import onnx

    path = exporters.onnx(
        model, torch.randn(2, 3, 8, 8), tmp_path / "m.onnx", metadata=WORDS, opset=20
    )
    graph = onnx.load(path)
    onnx.checker.check_model(graph)
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]
    assert graph.opset_import[0].version == 20
    (images,) = graph.graph.input
    dims = images.type.tensor_type.shape.dim
    assert (images.name, dims[0].dim_param, dims[1].dim_value) == ("images", "batch", 3)


def test_exporting_says_nothing_on_stdout(model, tmp_path, capfd):
    exporters.onnx(model, torch.randn(2, 3, 8, 8), tmp_path / "m.onnx", metadata=WORDS)
    assert capfd.readouterr().out == ""
