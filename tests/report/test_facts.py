"""zoo.report.facts: what was measured, in words."""

import hashlib
from dataclasses import replace
from datetime import UTC, datetime

from judged import drawn, judged, loaded_from

from zoo import __version__
from zoo.core.recipe import DataPart, Recipe
from zoo.core.specs import InputSpec
from zoo.report.facts import digest, how_shown, what_was_measured

WHEN = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)


def test_the_list(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    path = tmp_path / "w" / "model.safetensors"
    path.parent.mkdir()
    path.write_bytes(b"weights")
    base = {"weights": "resnet18:tag", "revision": "abc", "sha256": "f" * 64}
    loaded = loaded_from(path, ("a", "b"), run="mine", epoch=4, base=base, data={"name": "<x>"})
    text = what_was_measured(judged(["a", "b"], *drawn(20, 2)), loaded, WHEN)
    for piece in (
        "resnet18</bdi> (run mine)", "w/model.safetensors</bdi>, epoch 4",
        hashlib.sha256(b"weights").hexdigest(), "(revision abc, sha256 ffffffffffff)",
        "&lt;x&gt;", "photos/val</bdi>: 20", "2026-01-02 03:04 UTC", f"zoo {__version__}",
        "cpu, fp32",
    ):  # fmt: skip
        assert piece in text, piece


def test_no_folder_of_the_machine_is_told(tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    text = what_was_measured(
        judged(["a", "b"], *drawn(9, 2)), loaded_from(tmp_path / "w.safetensors"), WHEN
    )
    assert "w.safetensors" in text
    assert tmp_path.name not in text


def test_classes_without_images_are_counted(tmp_path):
    outputs, labels = drawn(30, 5)
    found = judged([f"c{k}" for k in range(5)], outputs, labels.clamp(max=2))
    assert "5, of which 3 have images here" in what_was_measured(found, loaded_from(tmp_path), WHEN)


def test_the_digest_is_that_of_the_file(tmp_path):
    (tmp_path / "f").write_bytes(b"abc")
    assert digest(tmp_path / "f") == hashlib.sha256(b"abc").hexdigest()
    assert digest(tmp_path / "gone") == ""


def test_how_images_are_shown(tmp_path):
    found = judged(["a", "b"], *drawn(9, 2))
    loaded = loaded_from(tmp_path)
    assert how_shown(found, loaded) == (
        "224 x 224 pixels, 3 channels; the shorter edge is resized to 256 pixels, the centre is "
        "cut out; bilinear; values 0 to 1, minus (0.5, 0.4, 0.3), over (0.2, 0.2, 0.2)"
    )
    squashed = replace(loaded.info, input=InputSpec(size=(1, 28, 28), crop_mode="squash"))
    assert "1 channel; both edges are resized to 28" in how_shown(
        found, replace(loaded, info=squashed)
    )
    part = DataPart(eval_transform="mine/other", eval_options={"x": 1}, shrink=512)
    other = replace(found, recipe=Recipe(data=part))
    said = how_shown(other, loaded)
    assert "transform mine/other; options {'x': 1}; reduced to 512 pixels" in said
    assert "bilinear" not in said
