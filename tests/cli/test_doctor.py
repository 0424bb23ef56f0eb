import json

import pytest
from pictures import folder, jpeg, put


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path_factory.mktemp("cache")))


def test_a_sound_folder(tmp_path, zoo):
    code, out, _ = zoo("doctor", folder(tmp_path / "set", each=3), "--classes", 2)
    assert code == 0
    assert "train: 6 images in 2 classes, 3 to 3 each" in out
    assert "6 jpeg rgb" in out
    assert out.splitlines()[-1] == "fit to train on"


def test_problems_give_exit_code_3_and_hints(tmp_path, zoo):
    root = folder(tmp_path / "set")
    put(root / "cat" / "bad.jpg", jpeg()[:50])
    code, out, _ = zoo("doctor", root, "--classes", 5)
    assert code == 3
    assert "problem: train/cat/bad.jpg: truncated JPEG" in out
    assert "hint: --classes 2" in out


def test_json(tmp_path, zoo):
    root = folder(tmp_path / "set")
    put(root / "cat" / "copy.jpg", jpeg(0))
    code, out, _ = zoo("doctor", root, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["ok"] is True
    assert found["duplicates"] == [["train/cat/0.jpg", "train/cat/copy.jpg"]]


def test_limits_and_other_validation_images(tmp_path, zoo):
    root, other = folder(tmp_path / "set"), folder(tmp_path / "other", start=40)
    (root / "emu").mkdir()
    code, out, _ = zoo("doctor", root, "--val", other, "--allow-empty", "--max-pixels", 700)
    assert code == 3
    assert "24 = 768 pixels, more than the limit of 700" in out
    assert zoo("doctor", root, "--val", other, "--allow-empty")[0] == 0


def test_long_lists_are_cut(tmp_path, zoo):
    root = folder(tmp_path / "set")
    for number in range(60):
        put(root / "cat" / f"bad{number}.jpg", b"")
    _, out, _ = zoo("doctor", root)
    assert out.count("problem: ") == 50
    assert "and 10 more problems" in out


def test_no_data_here(tmp_path, zoo, monkeypatch):
    monkeypatch.chdir(tmp_path)
    code, out, _ = zoo("doctor")
    assert code == 3
    assert "problem: data: " in out


def test_a_named_set_takes_its_options(tmp_path, zoo):
    few = ("--data-option", "per_class=4", "--data-option", "classes=3")
    code, out, err = zoo("doctor", "demo", *few, "--data-root", tmp_path, "--json")
    assert code == 0, err
    assert len(json.loads(out)["counts"]["train"]) == 3
    code, _, err = zoo("doctor", "demo", "--data-option", "per_class")
    assert code == 2
    assert "is not NAME=VALUE" in err
    code, out, _ = zoo("doctor", "fashion-mnist", "--data-root", tmp_path)
    assert code == 3
    assert "--download" in out
