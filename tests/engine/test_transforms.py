"""zoo.engine.transforms: which transforms a run uses."""

import pytest
import torch

from zoo.core import registry
from zoo.core.recipe import DataPart, Recipe
from zoo.core.specs import InputSpec
from zoo.engine.transforms import auto_transform, batch_transforms, image_transform
from zoo.errors import UsageError

SMALL, LARGE = InputSpec(size=(1, 28, 28)), InputSpec(size=(3, 64, 64))


def recipe(**data):
    return Recipe(data=DataPart(**data))


def test_auto_depends_on_the_size_alone():
    assert auto_transform(LARGE, train=True) == "standard"
    assert auto_transform(SMALL, train=True) == "shift"
    assert auto_transform(SMALL, train=False) == auto_transform(LARGE, train=False) == "center-crop"


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("shown", [SMALL, LARGE])
def test_images_come_out_in_the_size_of_the_input(shown, train):
    image = torch.randint(0, 256, (shown.size[0], 50, 70), dtype=torch.uint8)
    made = image_transform(recipe(), registry.load(), shown, train=train)(image)
    assert made.shape == shown.size
    assert made.dtype == torch.uint8


def test_a_named_transform_gets_its_options():
    chosen = recipe(train_transform="random-crop", train_options={"padding": 4, "flip": 0.0})
    assert (
        type(image_transform(chosen, registry.load(), LARGE, train=True)).__name__ == "RandomCrop"
    )
    wrong = recipe(train_transform="random-crop", train_options={"paddding": 4})
    with pytest.raises(UsageError, match="no option 'paddding'"):
        image_transform(wrong, registry.load(), LARGE, train=True)


def test_mixup_gives_soft_targets_of_all_classes():
    (mix,) = batch_transforms(recipe(batch_transforms=("mixup",)), registry.load(), LARGE, 5)
    images, targets = mix(torch.rand(4, 3, 8, 8), torch.tensor([0, 1, 2, 3]))
    assert images.shape == (4, 3, 8, 8)
    assert targets.shape == (4, 5)
    assert torch.allclose(targets.sum(1), torch.ones(4))


def test_a_transform_of_single_images_is_not_for_batches():
    with pytest.raises(UsageError, match="single images"):
        batch_transforms(recipe(batch_transforms=("standard",)), registry.load(), LARGE, 5)
