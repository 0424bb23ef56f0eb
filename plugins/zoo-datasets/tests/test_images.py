"""One split: files as they are, names that say nothing of this machine, nothing from outside."""

from __future__ import annotations

import datasets
import pytest
from colours import NAMES, features, png, rows, table

from zoo.errors import DataError
from zoo_datasets.columns import Columns
from zoo_datasets.images import Images


def opened(made, folder, **columns):
    return Images(made, "set", Columns(**columns), fingerprint="f", folders=(folder,), notes=("n",))


def test_image_files_are_given_as_they_are(tmp_path):
    images = opened(table("train", 4), tmp_path)
    assert len(images) == 4
    assert images.encoded(3) == png(0, 3)
    assert images.labels == [0, 1, 2, 0]
    assert images.classes == NAMES
    assert images.keys == [f"train-{n:02}.png" for n in range(4)]
    assert (images.fingerprint, images.notes) == ("f:image:label", ("n",))
    picture, label = images[1]
    assert (picture.size, label) == ((32, 32), 1)


def test_rows_that_were_chosen_stay_chosen(tmp_path):
    images = opened(table("train", 6).select([4, 0, 2]), tmp_path)
    assert images.labels == [1, 0, 2]
    assert images.keys == ["train-04.png", "train-00.png", "train-02.png"]
    assert images.encoded(0) == png(1, 4)


def test_plain_columns_of_bytes(tmp_path):
    made = datasets.Dataset.from_dict({"image": [png(0), png(1)], "class": ["a", "b"]})
    images = opened(made, tmp_path)
    assert images.encoded(1) == png(1)
    assert images.keys is None
    assert images.classes == ("a", "b")


def test_names_that_occur_twice_are_no_keys(tmp_path):
    made = rows("train", 2)
    for image in made["image"]:
        image["path"] = "image.png"
    assert opened(datasets.Dataset.from_dict(made, features=features()), tmp_path).keys is None


def test_files_that_rows_name_lie_inside(tmp_path):
    (tmp_path / "set" / "cats").mkdir(parents=True)
    (tmp_path / "set" / "cats" / "1.png").write_bytes(png(0))
    (tmp_path / "secret.png").write_bytes(png(1))
    named = [
        "cats/1.png", str(tmp_path / "set/cats/1.png"), "../secret.png",
        str(tmp_path / "secret.png"), "https://example.org/1.png",
    ]  # fmt: skip
    made = datasets.Dataset.from_dict(
        {"image": [*({"bytes": None, "path": path} for path in named), None], "label": [0] * 6},
        features=features(),
    )
    images = opened(made, tmp_path / "set")
    assert images.encoded(0) == images.encoded(1) == png(0)
    for row in (2, 3, 4):
        with pytest.raises(OSError, match="outside of the data set"):
            images.encoded(row)
    with pytest.raises(OSError, match="holds no image"):
        images.encoded(5)


def test_absolute_names_become_relative(tmp_path):
    made = datasets.Dataset.from_dict(
        {"image": [{"bytes": None, "path": str(tmp_path / "a/1.png")}], "label": [0]},
        features=features(),
    )
    assert opened(made, tmp_path).keys == ["a/1.png"]
    assert opened(made, tmp_path / "b").keys is None


def test_labels_inside_another_column(tmp_path):
    made = datasets.Dataset.from_dict(
        {"image": [png(0)] * 2, "json": [{"kind": "b"}, {"kind": "a"}]}
    )
    images = opened(made, tmp_path, label="json.kind")
    assert (images.labels, images.classes) == ([1, 0], ("a", "b"))
    with pytest.raises(DataError, match="no column 'nope'"):
        opened(made, tmp_path, label="nope")
