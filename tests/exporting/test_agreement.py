"""Two ways to a label, compared image by image."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from zoo.errors import UsageError, VerificationError
from zoo.exporting.agreement import Reading, agree

IMAGES = [Path(f"{i}.png") for i in range(4)]


def reader(labels, shift=0.0):
    def read(path: Path) -> Reading:
        return Reading(labels[int(path.stem)], torch.tensor([1.0 + shift, 0.0]))

    return read


def test_equal_labels_count_and_differences_are_listed():
    found = agree(reader("abab"), reader("abbb", 0.5), IMAGES, name="it", at_least=0.5)
    assert (found.images, found.same, found.share) == (4, 3, 0.75)
    assert found.different == (("2.png", "a", "b"),)
    assert found.max_diff == pytest.approx(0.5)
    assert found.line() == (
        "3 of 4 images get the same label from file to label (max |diff| 5.0e-01)"
    )


def test_too_few_is_an_error_that_names_the_first_image():
    with pytest.raises(VerificationError, match=r"only 2 of 4.*first: 1\.png is b for zoo and a"):
        agree(reader("abab"), reader("aaaa"), IMAGES, name="it")


def test_no_images_is_an_error():
    with pytest.raises(UsageError, match="no images"):
        agree(reader(""), reader(""), [], name="it")
