import numpy as np
import pytest
from sklearn.datasets import load_digits

from zoo.builtin.digits import Digits
from zoo.plugin import UsageError


def test_scikit_learn_has_the_same_pixels_and_labels_in_the_same_order():
    truth = load_digits()
    ours = np.concatenate([Digits(split="train").images, Digits(split="test").images])
    assert np.array_equal(ours, truth.images.astype(np.int64) * 255 // 16)
    assert Digits(split="train").labels + Digits(split="test").labels == truth.target.tolist()


def test_splits_are_the_first_1400_and_the_last_397():
    assert len(Digits(split="train")) == 1400
    assert len(Digits(split="test")) == 397


def test_an_item_is_an_image_and_its_label_and_transform_is_applied():
    plain, seen = Digits(split="test"), []
    image, label = plain[5]
    assert image.shape == (8, 8)
    assert image.dtype == np.uint8
    assert label == plain.labels[5]
    changed = Digits(split="test", transform=lambda x: seen.append(x) or x.sum())
    assert changed[5] == (image.sum(), label)
    assert len(seen) == 1


def test_unknown_split_names_the_splits():
    with pytest.raises(UsageError, match="no split 'val'") as raised:
        Digits(split="val")
    assert "train and test" in raised.value.hint
