"""zoo.engine.judging.showing: images on their way to a trained model."""

import dataclasses

import pytest
import torch

from zoo.core import registry
from zoo.core.recipe import DevicePart, Recipe
from zoo.engine.judging.showing import class_name, folder_of, moved, recipe_of, show
from zoo.engine.start.loading import load_run
from zoo.errors import DataError

CPU = DevicePart(device="cpu", precision="fp32", threads=1)


@pytest.fixture
def loaded(finished_run):
    return load_run(str(finished_run), registry.load())


def test_images_come_in_order_in_the_size_of_the_model(loaded, photos):
    shown = show(loaded, registry.load(), [photos / "light", photos / "dark" / "3.png"], device=CPU)
    batches = list(shown.loader.epoch(0))
    assert [len(batch.images) for batch in batches] == [6, 6, 1]  # as in the run
    assert all(batch.images.shape[1:] == (1, 32, 32) for batch in batches)
    assert shown.images.keys[0].startswith(str(photos / "light"))
    assert shown.images.keys[12] == str(photos / "dark" / "3.png")
    ready = shown.feed.images(batches[0].images)
    assert ready.dtype == torch.float32
    assert shown.notes == ()


def test_what_was_left_out_is_noted(loaded, photos, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"")
    paths = [tmp_path / "bad.png", photos / "dark" / "3.png"]
    with pytest.raises(DataError, match=r"bad\.png"):
        show(loaded, registry.load(), paths, device=CPU)
    shown = show(loaded, registry.load(), paths, device=CPU, on_bad_image="skip")
    assert len(shown.images) == 1
    assert "left out 1 of 2" in shown.notes[0]


def test_outputs_and_folders_by_name(loaded, photos, tmp_path):
    assert class_name(loaded, 1) == "light"
    assert class_name(loaded, 7) == "7"
    assert folder_of(str(photos / "light" / "3.png")) == "light"
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "x.png").symlink_to(photos / "light" / "3.png")
    assert folder_of(str(tmp_path / "mine" / "x.png")) == "mine"


def test_a_model_that_was_not_trained_here_has_the_usual_recipe(loaded):
    assert recipe_of(loaded).data.batch_size == 6
    info = dataclasses.replace(loaded.info, recipe={})
    assert recipe_of(dataclasses.replace(loaded, info=info)) == Recipe()


def test_the_model_itself_is_moved(loaded, photos):
    shown = show(loaded, registry.load(), [photos], device=CPU)
    assert moved(loaded, shown.place) is loaded.model
