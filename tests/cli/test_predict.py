import csv
import io
import json

import pytest


@pytest.fixture
def image(photos):
    return photos / "light" / "3.png"


def test_a_line_an_image(zoo, finished_run, photos):
    code, out, _ = zoo("predict", finished_run, photos / "light", "--device", "cpu")
    assert code == 0
    lines = out.splitlines()
    assert len(lines) == 12
    assert all('Actual: "light"' in line for line in lines)
    assert "3.png: Predicted: " in out


def test_an_image_from_elsewhere_has_no_actual_class(zoo, finished_run, image, tmp_path):
    stray = tmp_path / "stray.png"
    stray.write_bytes(image.read_bytes())
    _, out, _ = zoo("predict", finished_run, stray, "--top", "1")
    assert out.startswith(f"{stray}: ")
    assert "Actual" not in out
    assert out.count("%") == 1


def test_json(zoo, finished_run, image):
    (found,) = json.loads(zoo("predict", finished_run, image, "--json")[1])
    assert found["image"] == str(image)
    assert found["actual"] == "light"
    assert sum(share for _, share in found["top"]) == pytest.approx(1.0)
    shares = [share for _, share in found["top"]]
    assert shares == sorted(shares, reverse=True)


def test_csv(zoo, finished_run, photos):
    out = zoo("predict", finished_run, photos / "dark", "--csv", "--top", "2")[1]
    rows = list(csv.DictReader(io.StringIO(out)))
    assert len(rows) == 24
    assert rows[0]["rank"] == "1"
    assert {row["class"] for row in rows} == {"dark", "light"}


def test_one_image_or_many_give_the_same_answer(zoo, finished_run, photos, image):
    alone = json.loads(zoo("predict", finished_run, image, "--json")[1])[0]
    many = json.loads(zoo("predict", finished_run, photos / "light", "--json")[1])
    (same,) = [one for one in many if one["image"] == str(image)]
    for (name, share), (other, other_share) in zip(alone["top"], same["top"], strict=True):
        assert name == other
        assert share == pytest.approx(other_share, abs=1e-5)


def test_what_is_no_image(zoo, finished_run, tmp_path, image):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"not an image")
    code, _, err = zoo("predict", finished_run, broken, image)
    assert code == 3
    assert "broken.png" in err
    code, out, err = zoo("predict", finished_run, broken, image, "--on-bad-image", "skip")
    assert code == 0
    assert "3.png" in out
    assert "note: left out 1 of 2 files: " in err
    assert "broken.png" in err
    code, _, err = zoo("predict", finished_run, tmp_path / "gone.png")
    assert code == 3
    assert "gone.png" in err


def test_no_images_at_all(zoo, finished_run):
    assert zoo("predict", finished_run)[0] == 2
