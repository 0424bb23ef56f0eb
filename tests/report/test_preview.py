"""zoo.report.preview: the picture as a file, from Python."""

import pytest
from pictures import folder
from PIL import Image

import zoo
from zoo.errors import UsageError

QUICK = {
    "weights": "none", "size": 64, "workers": 0, "threads": 1, "precision": "fp32",
    "device": "cpu", "batch_size": 4,
}  # fmt: skip


def test_a_picture_is_written_and_nothing_else(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder(tmp_path / "photos")
    path = zoo.preview("train", "resnet18", file="look.png", data="photos", **QUICK)
    assert {p.name for p in tmp_path.iterdir()} == {"photos", "look.png"}
    with Image.open(path) as picture:
        assert (picture.format, picture.mode) == ("PNG", "RGB")
    before = path.read_bytes()
    with pytest.raises(UsageError, match="not written over"):
        zoo.preview("train", "resnet18", file="look.png", data="photos", **QUICK)
    again = zoo.preview(
        "train", "resnet18", file=tmp_path / "again.png", set={"data.source": "photos"}, **QUICK
    )
    assert again.read_bytes() == before
