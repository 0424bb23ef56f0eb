"""Images explained: every one has a map, a picture, and what is said of it."""

import dataclasses

import pytest
import torch
from PIL import Image

from zoo.core import registry
from zoo.core.recipe import DevicePart
from zoo.engine.judging.judge import predict
from zoo.engine.start.loading import load_run
from zoo.errors import CheckpointError, DataError, UnknownNameError, UsageError
from zoo.explaining.looks import look

CPU = DevicePart(device="cpu", precision="fp32", threads=1)


@pytest.fixture
def loaded(finished_run):
    return load_run(str(finished_run), registry.load())


def looks(loaded, paths, **wish):
    return list(look(loaded, registry.load(), paths, device=CPU, **wish))


def test_it_says_what_predict_says(loaded, photos):
    found = looks(loaded, [photos / "light", photos / "dark" / "3.png"])
    answers = list(predict(loaded, registry.load(), [photos / "light", photos / "dark" / "3.png"]))
    assert [one.image for one in found] == [one.image for one in answers]
    assert len(found) == 13  # three batches
    for one, answer in zip(found, answers, strict=True):
        assert one.label == one.predicted == answer.label
        assert one.probability == pytest.approx(answer.top[0][1], abs=1e-5)
        assert one.layer == "conv2"
        assert one.heat.shape == (10, 10)
        assert one.heat.min() >= 0
        assert one.file is None


def test_a_class_that_is_asked_for(loaded, photos):
    (dark,) = looks(loaded, [photos / "dark" / "3.png"], label="dark")
    (light,) = looks(loaded, [photos / "dark" / "3.png"], label="light")
    assert (dark.label, light.label) == ("dark", "light")
    assert dark.predicted == light.predicted
    assert dark.probability + light.probability == pytest.approx(1)
    assert not torch.equal(dark.heat, light.heat)
    with pytest.raises(UnknownNameError, match="no class 'lihgt'"):
        looks(loaded, [photos], label="lihgt")


def test_classes_without_names_are_numbers(loaded, photos):
    info = dataclasses.replace(loaded.info, classes=())
    nameless = dataclasses.replace(loaded, info=info)
    (found,) = looks(nameless, [photos / "dark" / "3.png"], label="1")
    assert found.label == "1"
    with pytest.raises(UnknownNameError) as caught:
        looks(nameless, [photos / "dark" / "3.png"], label="2")
    assert caught.value.hint.endswith("0 to 1")


def test_classes_are_those_of_the_first_output_of_several(loaded, photos):
    info = dataclasses.replace(loaded.info, classes=())
    nameless = dataclasses.replace(loaded, info=info)
    loaded.model.register_forward_hook(lambda _model, _args, out: (out, out.new_zeros(len(out), 7)))
    (found,) = looks(nameless, [photos / "dark" / "3.png"], label="1")
    assert found.label == "1"
    with pytest.raises(UnknownNameError) as caught:
        looks(nameless, [photos / "dark" / "3.png"], label="2")
    assert caught.value.hint.endswith("0 to 1")


def test_a_layer_that_is_asked_for(loaded, photos):
    (found,) = looks(loaded, [photos / "dark" / "3.png"], layer="conv1")
    assert (found.layer, tuple(found.heat.shape)) == ("conv1", (28, 28))
    with pytest.raises(UsageError, match="layer 'fc1' gives"):
        looks(loaded, [photos], layer="fc1")


def test_pictures_lie_in_a_folder_and_nothing_is_written_over(loaded, photos, tmp_path):
    out = tmp_path / "new"
    paths = [photos / "dark" / "3.png", photos / "light" / "3.png"]
    names = [one.file.name for _ in range(2) for one in looks(loaded, paths, out=out)]
    assert names == ["3.png", "3-2.png", "3-3.png", "3-4.png"]
    for name in names:
        with Image.open(out / name) as picture:
            assert picture.size[0] > 2 * 280
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UsageError, match="is no folder"):
        looks(loaded, paths, out=tmp_path / "file")


def test_the_model_is_as_it_was(loaded, photos):
    loaded.model.conv2.train()  # as somebody left it
    loaded.model.conv1.weight.requires_grad = False
    modes = [module.training for module in loaded.model.modules()]
    looks(loaded, [photos / "dark"])
    assert [module.training for module in loaded.model.modules()] == modes
    assert not loaded.model.conv1.weight.requires_grad
    assert loaded.model.conv2.weight.requires_grad
    assert all(p.grad is None for p in loaded.model.parameters())


def test_images_that_cannot_be_read(loaded, photos, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    paths = [tmp_path / "bad.png", photos / "dark" / "3.png"]
    with pytest.raises(DataError, match=r"bad\.png"):
        looks(loaded, paths)
    notes, steps = [], []
    found = looks(
        loaded, paths, on_bad_image="skip", note=notes.append,
        progress=lambda done, total: steps.append((done, total)),
    )  # fmt: skip
    assert [one.image for one in found] == [str(photos / "dark" / "3.png")]
    assert any("left out 1 of 2" in text for text in notes)
    assert steps == [(1, 1)]


def test_maps_that_are_empty_are_told_of(loaded, photos):
    torch.nn.init.zeros_(loaded.model.fc3.weight)
    notes = []
    found = looks(loaded, [photos / "dark"], note=notes.append)
    assert not any(one.heat.any() for one in found)
    assert notes == ["12 of 12 maps are empty: nothing at conv2 speaks for the class"]
    looks(loaded, [photos / "dark" / "3.png"], note=notes.append)
    assert notes[1:] == ["1 of 1 maps is empty: nothing at conv2 speaks for the class"]


def test_a_file_that_is_wrong_about_its_input_is_told_of(loaded, photos):
    size = dataclasses.replace(loaded.input, size=(1, 8, 8))
    wrong = dataclasses.replace(loaded, info=dataclasses.replace(loaded.info, input=size))
    with pytest.raises(CheckpointError, match="says of its input is wrong"):
        looks(wrong, [photos / "dark"])
