import random

import numpy as np
import pytest
import torch
from pictures import folder, put

from zoo.core.recipe import DataPart
from zoo.core.specs import InputSpec
from zoo.data.loaders import Loader
from zoo.data.shown import shown
from zoo.data.sources import open_data


def loaded(images, transform, rows, epoch, **how):
    """What a loader gives for some images in an epoch, in the order of ``rows``."""
    loader = Loader(images, transform, batch_size=7, seed=3, **how)
    found = {}
    for batch in loader.epoch(epoch):
        found |= dict(zip(batch.indices.tolist(), batch.images, strict=True))
    return torch.stack([found[row] for row in rows])


@pytest.fixture
def photos(tmp_path, known):
    root = folder(tmp_path / "set", ["a", "b"], each=9)
    return open_data(DataPart(source=str(root)), registry=known).train


@pytest.fixture
def digits(known):
    return open_data(DataPart(source="digits"), registry=known, channels=1).train


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", ["standard", "randaugment", "shift", "random-crop", "center-crop"])
def test_pixels_of_files_are_those_of_the_loader(photos, known, name, threads):
    transform = known.build("transform", name, InputSpec(size=(3, 40, 40)))
    found = list(shown(photos, transform, [11, 2], [0, 5], seed=3))
    for epoch, drawn in zip((0, 5), found, strict=True):
        there = loaded(photos, transform, [11, 2], epoch, threads=threads)
        assert torch.equal(drawn.batch.images, there)
        assert drawn.batch.indices.tolist() == [11, 2]


@pytest.mark.parametrize("name", ["shift", "random-crop", "standard", "center-crop"])
def test_pixels_of_a_set_in_memory_are_those_of_the_loader(digits, known, name):
    transform = known.build("transform", name, InputSpec(size=(1, 28, 28)))
    (drawn,) = shown(digits, transform, [900, 4], [2], seed=3)
    assert torch.equal(drawn.batch.images, loaded(digits, transform, [900, 4], 2))


def test_nobodys_random_numbers_are_disturbed(photos, known):
    transform = known.build("transform", "randaugment", InputSpec(size=(3, 40, 40)))
    before = torch.get_rng_state(), random.getstate(), np.random.get_state()[1].tolist()
    list(shown(photos, transform, [0], [0, 1], seed=3))
    assert torch.equal(torch.get_rng_state(), before[0])
    assert (random.getstate(), np.random.get_state()[1].tolist()) == before[1:]


def test_an_image_that_is_gone_is_said(photos, known):
    put(photos.reader.paths[photos.rows[0]], b"")
    transform = known.build("transform", "standard", InputSpec(size=(3, 40, 40)))
    (drawn,) = shown(photos, transform, [0], [0], seed=3)
    assert drawn.batch is None
    assert drawn.failure
