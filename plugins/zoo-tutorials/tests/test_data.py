"""Data sets in the layout that they are published in, made here image by image."""

from __future__ import annotations

import pytest
from PIL import Image
from torchvision.transforms import v2

from zoo.plugin import DataError
from zoo_tutorials.data import ants_bees, cats_dogs


@pytest.fixture
def kaggle(tmp_path):
    """``train/cat.0.jpg`` ... ``train/dog.11.jpg``, and unlabelled test images."""
    for folder in ("train", "test1"):
        (tmp_path / folder).mkdir()
    for number in range(12):
        Image.new("RGB", (20, 16), (200, 50, number)).save(tmp_path / f"train/cat.{number}.jpg")
        Image.new("RGB", (16, 20), (50, 200, number)).save(tmp_path / f"train/dog.{number}.jpg")
        Image.new("RGB", (16, 16)).save(tmp_path / f"test1/{number}.jpg")
    return tmp_path


def test_kinds_come_from_the_names_of_the_files(kaggle):
    train, val = cats_dogs(kaggle), cats_dogs(kaggle, split="val")
    assert train.classes == ("cat", "dog")
    assert (len(train), len(val)) == (20, 4)
    image, label = train[len(train) - 1]
    assert (label, image.size) == (1, (16, 20))
    assert {f.name for f in val.files} == {f"{k}.{n}.jpg" for k in ("cat", "dog") for n in (4, 9)}


def test_no_image_is_in_both_splits_and_none_is_lost(kaggle):
    train, val = (set(cats_dogs(kaggle, split=s).files) for s in ("train", "val"))
    assert not train & val
    assert len(train | val) == 24


def test_numbers_count_as_numbers(kaggle):
    names = [file.name for file in cats_dogs(kaggle).files]
    assert names.index("cat.2.jpg") < names.index("cat.10.jpg")


def test_a_transform_is_applied(kaggle):
    to_tensor = v2.Compose([v2.PILToTensor(), v2.Resize((8, 8))])
    assert cats_dogs(kaggle, transform=to_tensor)[0][0].shape == (3, 8, 8)


def test_a_file_of_another_form_is_named(kaggle):
    Image.new("RGB", (4, 4)).save(kaggle / "train/hamster.jpg")
    with pytest.raises(DataError, match=r"hamster\.jpg"):
        cats_dogs(kaggle)


def test_what_is_not_there_says_where_to_get_it(tmp_path):
    with pytest.raises(DataError, match="no images") as caught:
        cats_dogs(tmp_path, download=True)
    assert "kaggle" in caught.value.hint
    with pytest.raises(DataError, match="no images"):
        ants_bees(tmp_path)


@pytest.fixture
def hymenoptera(tmp_path):
    """``train/ants``, ``train/bees``, ``val/ants``, ``val/bees``."""
    for split, count in (("train", 5), ("val", 2)):
        for name, colour in (("ants", (90, 30, 10)), ("bees", (220, 200, 40))):
            folder = tmp_path / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.new("RGB", (12, 12), colour).save(folder / f"{number}.jpg")
    return tmp_path


def test_the_sum_of_two_data_sets_has_the_images_of_both(hymenoptera):
    both = ants_bees(hymenoptera)
    assert both.classes == ("ants", "bees")
    assert len(both) == len(both.targets) == len(both.files) == 10
    assert [both[i][1] for i in range(10)] == both.targets == [0] * 5 + [1] * 5
    assert len(ants_bees(hymenoptera, split="val")) == 4
    ant, bee = both[0][0].getpixel((0, 0)), both[9][0].getpixel((0, 0))
    assert ant[0] < bee[0]
