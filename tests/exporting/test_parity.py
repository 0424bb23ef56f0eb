"""A trained run to a file: same outputs, same labels for its own validation images."""

from __future__ import annotations

import dataclasses

import pytest
from PIL import Image

import zoo.api
from zoo.core import registry
from zoo.errors import VerificationError
from zoo.exporting import open_artefact, parity


@pytest.fixture(scope="module")
def photographs(tmp_path_factory):
    """Stripes, horizontal or vertical: JPEG and PNG files of different sizes."""
    folder = tmp_path_factory.mktemp("stripes")
    for number in range(24):
        for name in ("across", "down"):
            height, width = 40 + number, 60 - number
            image = Image.new("RGB", (width, height), (30 + 4 * number, 40, 50))
            for start in range(0, max(width, height), 8):
                box = (
                    (0, start, width, start + 4)
                    if name == "across"
                    else (start, 0, start + 4, height)
                )
                image.paste((240, 200 - number, 90), box)
            path = folder / name / f"{number}.{'jpg' if number % 2 else 'png'}"
            path.parent.mkdir(exist_ok=True)
            image.save(path)
    return folder


@pytest.fixture(scope="module")
def run(photographs, tmp_path_factory):
    return zoo.train(
        "tutorials/catdog",
        data=str(photographs),
        epochs=2,
        set={
            "output.dir": str(tmp_path_factory.mktemp("runs")),
            "optim.warmup": 0,
            "device.threads": 1,
        },
    )


@pytest.mark.parametrize("name", ["torch-export", "onnx", "safetensors"])
def test_a_run_gives_the_same_labels_in_every_format(name, run, tmp_path):
    loaded = zoo.api.load(run.dir)
    result = parity.export_run(loaded, registry.load(), name, tmp_path, check=8)
    assert result.agreement is not None
    assert (result.agreement.images, result.agreement.same) == (8, 8)
    assert result.agreement.max_diff < 1e-4
    assert "8 of 8 images" in result.line()
    assert result.notes == ()


def test_the_api_exports_and_compares(run, tmp_path):
    result = zoo.api.export(run.dir, format="torch-export", out=tmp_path)
    assert result.agreement is not None
    assert open_artefact(result.path).labels == ("across", "down")


def test_a_file_that_gives_other_labels_is_not_kept(run, tmp_path):
    loaded = zoo.api.load(run.dir)
    swapped = dataclasses.replace(
        loaded, info=dataclasses.replace(loaded.info, classes=("down", "across"))
    )
    known = registry.load()
    ours = parity.own_way(loaded, known)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parity, "own_way", lambda *_: ours)
        with pytest.raises(VerificationError, match=r"only 0 of \d+ images get the same label"):
            parity.export_run(swapped, known, "torch-export", tmp_path, check=12)
    assert list(tmp_path.iterdir()) == []


def test_files_of_the_validation_set_are_used_as_they_are(run, photographs, tmp_path):
    loaded = zoo.api.load(run.dir)
    files, _ = parity.validation_files(loaded, registry.load(), 6, tmp_path)
    assert len(files) == 6
    assert all(photographs in file.parents for file in files)


def test_without_images_it_is_said(run, tmp_path):
    loaded = zoo.api.load(run.dir)
    known = registry.load()
    none = parity.export_run(loaded, known, "safetensors", tmp_path, check=0)
    assert none.agreement is None
    assert none.notes == ("not compared on images, as asked",)
    gone = {**loaded.info.recipe, "data": {**loaded.info.recipe["data"], "source": "/no/where"}}
    moved = dataclasses.replace(loaded, info=dataclasses.replace(loaded.info, recipe=gone))
    (note,) = parity.export_run(moved, known, "safetensors", tmp_path).notes
    assert note.startswith("not compared on images:")


def test_images_without_files_are_written_without_loss(tmp_path):
    from zoo.core.recipe import DataPart
    from zoo.data.decode import read_image
    from zoo.data.sources import open_data

    splits = open_data(
        DataPart(source="digits"), registry=registry.load(), classes=None, channels=1, seed=0
    )
    path = parity._as_file(splits.val, 3, tmp_path)
    assert read_image(str(path), 1).equal(splits.val.load(3))
