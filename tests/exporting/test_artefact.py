"""A file by itself: used by what it says alone, so that a wrong label or mean shows."""

from __future__ import annotations

import dataclasses
import random

import pytest
import torch
from PIL import Image
from torch import nn

from zoo.core.metadata import CheckpointInfo
from zoo.core.specs import InputSpec
from zoo.errors import CheckpointError, UsageError, VerificationError
from zoo.exporting import agree, open_artefact, write
from zoo.exporting.agreement import Reading
from zoo.exporting.preprocess import apply, steps_of

INPUT = InputSpec(size=(3, 8, 8), mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
INFO = CheckpointInfo(model="colours", classes=("red", "green", "blue"), input=INPUT)


def colours() -> nn.Module:
    """Tells which channel is brightest: right by construction."""
    model = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 3))
    model[2].weight.data = torch.eye(3)
    model[2].bias.data.zero_()
    return model.eval()


@pytest.fixture
def images(tmp_path):
    rng = random.Random(0)
    paths = []
    for i in range(12):
        colour = [rng.randrange(0, 120) for _ in range(3)]
        colour[i % 3] = 220
        paths.append(tmp_path / f"{i}.png")
        Image.new("RGB", (9 + i, 12), tuple(colour)).save(paths[-1])
    return paths


def ours(path) -> Reading:
    with torch.inference_mode():
        outputs = colours()(apply(steps_of(INPUT), path))[0]
    return Reading(INFO.classes[int(outputs.argmax())], outputs)


@pytest.mark.parametrize("name", ["torch-export", "onnx", "safetensors"])
def test_every_format_gives_the_same_labels_from_files(name, tmp_path, images):
    path = write(colours(), name, tmp_path, info=INFO).path
    artefact = open_artefact(path, model=colours() if name == "safetensors" else None)
    found = agree(ours, artefact.read, images, name="it")
    assert (found.same, found.images) == (12, 12)
    assert found.max_diff < 1e-5
    assert artefact.read(images[1]).label == "green"


def test_swapped_labels_are_caught_although_the_numbers_agree(tmp_path, images):
    wrong = dataclasses.replace(INFO, classes=("green", "red", "blue"))
    result = write(colours(), "torch-export", tmp_path, info=wrong)
    assert result.max_diff == 0
    with pytest.raises(VerificationError, match="only 4 of 12"):
        agree(ours, open_artefact(result.path).read, images, name="it")


def test_a_wrong_mean_is_caught(tmp_path, images):
    wrong = dataclasses.replace(INPUT, mean=(3.0, 0.5, 0.5))
    path = write(colours(), "onnx", tmp_path, info=dataclasses.replace(INFO, input=wrong)).path
    found = agree(ours, open_artefact(path).read, images, name="it", at_least=0.0)
    assert 0 < found.share < 1
    assert found.different[0][1] == "red"


def test_weights_alone_need_the_architecture(tmp_path):
    path = write(colours(), "safetensors", tmp_path, info=INFO).path
    with pytest.raises(UsageError, match="weights alone"):
        open_artefact(path)


def test_a_file_of_somebody_else_does_not_say_how_its_input_is_made(tmp_path):
    from torch.export import export, save

    save(export(colours(), (torch.zeros(2, 3, 8, 8),)), tmp_path / "m.pt2")
    with pytest.raises(CheckpointError, match="does not say"):
        open_artefact(tmp_path / "m.pt2")


def test_an_unknown_suffix_lists_the_known_ones(tmp_path):
    with pytest.raises(UsageError) as caught:
        open_artefact(tmp_path / "m.tflite")
    assert ".onnx" in caught.value.hint


def test_a_format_that_reads_its_files_alone_is_not_said_to_read_nothing(tmp_path, site):
    code = """
        class Npz:
            def __call__(self, model, example, path): ...
            def load(self, path, model): ...
        npz = Npz()
    """
    entry = "[[exporter]]\nname = 'npz'\ntarget = 'zoo_leaf.npz:npz'\nsuffix = '.npz'\n"
    site.manifest("leaf", entry, **{"zoo_leaf/npz.py": code})
    with pytest.raises(
        UsageError, match="leaf/npz reads its files, but not what they say"
    ) as caught:
        open_artefact(tmp_path / "m.npz")
    assert "metadata(path)" in caught.value.hint
