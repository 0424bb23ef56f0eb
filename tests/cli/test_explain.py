import json

import pytest
from PIL import Image


@pytest.fixture
def image(photos):
    return photos / "light" / "3.png"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_line_and_a_picture_an_image(zoo, finished_run, photos, tmp_path):
    code, out, err = zoo("explain", finished_run, photos / "light", "--device", "cpu")
    assert code == 0, err
    head, *lines = out.splitlines()
    assert head.split() == ["IMAGE", "CLASS", "PROBABILITY", "LAYER", "FILE"]
    assert len(lines) == len(list((tmp_path / "explained").iterdir())) == 12
    assert all(" %  conv2  explained/" in line for line in lines)


def test_json(zoo, finished_run, image, tmp_path):
    code, out, err = zoo(
        "explain", finished_run, image, "--class", "dark", "--out", "a/b", "--json"
    )
    assert code == 0, err
    (found,) = json.loads(out)
    assert found["image"] == str(image)
    assert found["class"] == "dark"
    assert found["predicted"] in ("dark", "light")
    assert 0 <= found["probability"] <= 1
    assert (found["layer"], found["file"]) == ("conv2", "a/b/3.png")
    with Image.open(tmp_path / "a" / "b" / "3.png") as picture:
        assert picture.format == "PNG"
    (answer,) = json.loads(zoo("predict", finished_run, image, "--json")[1])
    assert dict(answer["top"])["dark"] == pytest.approx(found["probability"], abs=1e-5)


def test_the_class_that_was_asked_for_stands_beside_the_predicted_one(zoo, finished_run, image):
    out = zoo("explain", finished_run, image, "--class", "dark", "--layer", "conv1")[1]
    assert out.splitlines()[0].split() == [
        "IMAGE", "CLASS", "PROBABILITY", "PREDICTED", "LAYER", "FILE",
    ]  # fmt: skip
    assert " conv1 " in out


def test_a_second_time_writes_nothing_over(zoo, finished_run, image, tmp_path):
    zoo("explain", finished_run, image)
    before = (tmp_path / "explained" / "3.png").read_bytes()
    _, out, _ = zoo("explain", finished_run, image, "--class", "dark")
    assert "explained/3-2.png" in out
    assert (tmp_path / "explained" / "3.png").read_bytes() == before


@pytest.mark.parametrize(
    ("flags", "code", "said", "hint"),
    [
        (("--class", "drak"), 2, "the model has no class 'drak'", "did you mean dark?"),
        (("--layer", "conv3"), 2, "the model has no layer 'conv3'", "did you mean conv"),
        (("--layer", "fc1"), 2, "layer 'fc1' gives (N, 120), which is no map", "--layer conv2"),
        (("--out", "file"), 2, "file is no folder", "--out FOLDER"),
    ],
)
def test_what_cannot_be(zoo, finished_run, image, tmp_path, flags, code, said, hint):
    (tmp_path / "file").write_text("mine")
    found, out, err = zoo("explain", finished_run, image, *flags)
    assert found == code
    assert f"error: {said}" in err
    assert f"hint: {hint}" in err
    assert out == ""
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_images_that_are_not_there_or_none(zoo, finished_run, image, tmp_path):
    assert zoo("explain", finished_run, "gone.png")[0] == 3
    assert zoo("explain", finished_run)[0] == 2
    assert zoo("explain", "no-run", image)[0] == 5
    (tmp_path / "bad.png").write_bytes(b"no image")
    assert zoo("explain", finished_run, "bad.png", image)[0] == 3
    code, out, err = zoo("explain", finished_run, "bad.png", image, "--on-bad-image", "skip")
    assert code == 0
    assert len(out.splitlines()) == 2
    assert "note: left out 1 of 2 files: " in err
