import csv
import json

import pytest
from safetensors import safe_open


@pytest.fixture
def image(photos):
    return photos / "light" / "3.png"


@pytest.fixture(autouse=True)
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def test_a_file_of_vectors(zoo, finished_run, photos):
    code, out, err = zoo("embed", finished_run, photos, "--out", "e.safetensors")
    assert code == 0, err
    assert out.split() == ["images", "24", "features", "84", "file", "e.safetensors"]
    with safe_open("e.safetensors", "pt") as file:
        assert file.get_tensor("embeddings").shape == (24, 84)
        assert json.loads(file.metadata()["labels"]) == ["dark"] * 12 + ["light"] * 12


def test_the_images_that_are_alike(zoo, finished_run, photos, image, tmp_path):
    code, out, err = zoo("embed", finished_run, photos, "--like", image, "--top", "3")
    assert code == 0, err
    head, *lines = out.splitlines()
    assert head.split() == ["RANK", "SIMILARITY", "IMAGE", "LABEL"]
    assert [line.split()[0] for line in lines] == ["1", "2", "3"]
    assert all(line.endswith("  light") for line in lines)
    assert str(image) not in out
    assert not list(tmp_path.iterdir())


def test_an_image_alone_is_like_nothing(zoo, finished_run, image):
    code, out, err = zoo("embed", finished_run, image, "--like", image)
    assert (code, out) == (0, "")
    assert "note: " in err
    assert err.endswith("is compared with nothing: no other image was given\n")


def test_both_at_once_for_programs(zoo, finished_run, photos, image, tmp_path):
    out = zoo("embed", finished_run, photos, "--like", image, "--out", "e.csv", "--json")[1]
    told = json.loads(out)
    assert (told["images"], told["features"], told["model"]) == (24, 84, "light")
    assert (told["file"], told["like"]) == ("e.csv", str(image))
    assert len(told["nearest"]) == 5
    shares = [one["similarity"] for one in told["nearest"]]
    assert shares == sorted(shares, reverse=True)
    with (tmp_path / "e.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 24
    assert list(rows[0])[:3] == ["path", "label", "0"]


@pytest.mark.parametrize(
    ("flags", "code", "said", "hint"),
    [
        ((), 2, "nothing is asked for", "--out FILE.safetensors, or --like IMAGE, or both"),
        (("--out", "e.npy"), 2, "embeddings are written to .safetensors or .csv", "--out e.safe"),
        (("--out", "mine.csv"), 2, "mine.csv is there; it is not", "--out mine-2.csv"),
        (("--out", "no/e.csv"), 2, "there is no folder no", "mkdir -p no"),
        (("--like", "gone.png"), 3, "nothing at 'gone.png'", "give image"),
        (("--like", "."), 3, "'.' is a folder, not one image", "name an image file"),
    ],
)
def test_what_cannot_be(zoo, finished_run, photos, tmp_path, flags, code, said, hint):
    (tmp_path / "mine.csv").write_text("mine")
    found, out, err = zoo("embed", finished_run, photos, *flags)
    assert found == code
    assert f"error: {said}" in err
    assert f"hint: {hint}" in err
    assert out == ""
    assert (tmp_path / "mine.csv").read_text() == "mine"


def test_images_that_cannot_be_read(zoo, finished_run, image, tmp_path):
    (tmp_path / "bad.png").write_bytes(b"no image")
    call = ("embed", finished_run, "bad.png", image, "--out", "e.csv")
    assert zoo(*call)[0] == 3
    assert not (tmp_path / "e.csv").exists()
    code, out, err = zoo(*call, "--on-bad-image", "skip")
    assert code == 0
    assert out.split()[:2] == ["images", "1"]
    assert "note: left out 1 of 2 files: " in err
    assert zoo("embed", finished_run, image, "--like", "bad.png", "--on-bad-image", "skip")[0] == 3
