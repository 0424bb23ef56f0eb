import pytest
from pictures import jpeg, put

from zoo.core import registry
from zoo.core.recipe import DataPart
from zoo.data.places import check_paths, check_there, locate
from zoo.errors import DataError, UsageError


def test_a_name_of_the_registry_wins_and_a_path_is_a_path(known, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "digits").mkdir()
    assert locate("digits", known)[0] == "digits"
    assert locate("./digits", known)[0] == ""
    with pytest.raises(DataError, match="no folder and no data set called 'digit'") as caught:
        locate("digit", known)
    assert "digits" in caught.value.hint


@pytest.mark.parametrize(
    ("part", "why"),
    [
        ({"source": "./nope"}, "no folder 'nope'"),
        ({"source": "nope.csv"}, r"no folder 'nope\.csv'"),
        ({"source": "nope"}, "no folder and no data set called 'nope'"),
        ({"source": "there", "val": "nope"}, "no folder 'nope'"),
        ({"source": "there/list.txt"}, "is a file, not a folder"),
        ({"source": "there/all.zip"}, "is an archive"),
    ],
)
def test_what_is_not_there_is_named(part, why, known, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("list.txt", "all.zip", "all.csv"):
        put(tmp_path / "there" / name, b"x")
    with pytest.raises(DataError, match=why) as caught:
        check_there(DataPart(**part), known)
    if "val" in part:
        assert caught.value.hint == "--val FOLDER"


@pytest.mark.parametrize(
    "part",
    [
        {}, {"source": "demo"}, {"source": "demo", "val": "test"}, {"source": "there"},
        {"source": "there/all.csv"}, {"source": "there", "val": "there/all.csv"},
    ],
)  # fmt: skip
def test_what_is_there_or_has_a_name_is_left_to_whoever_opens_it(
    part, known, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    put(tmp_path / "there" / "all.csv", b"x")
    check_there(DataPart(**part), known)


def test_a_fold_of_splits_that_are_not_known_yet_is_looked_at_later(site):
    entry = "[[dataset]]\nname = 'late'\ntarget = 'nowhere:Late'\nsplits = []\n"
    site.manifest("oak", entry)
    check_there(DataPart(source="oak/late", fold="1/2"), registry.load())


def test_a_fold_of_what_has_validation_images_is_refused_at_once(known, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("train/cat/1.jpg", "val/cat/2.jpg"):
        put(tmp_path / "there" / name, b"x")
    with pytest.raises(UsageError, match="demo has a split val"):
        check_there(DataPart(source="demo", fold="1/2"), known)
    with pytest.raises(UsageError, match="'there' has its own") as caught:
        check_there(DataPart(source="there", fold="1/2"), known)
    assert "--data there/train" in caught.value.hint
    check_there(DataPart(source="there/train", fold="1/2"), known)
    check_there(DataPart(source="digits", fold="1/2"), known)


def test_images_to_predict_have_to_be_there(tmp_path):
    one = put(tmp_path / "a.jpg", jpeg(1))
    check_paths([one, str(tmp_path)])
    with pytest.raises(DataError, match=r"nothing at .*b\.jpg"):
        check_paths([one, tmp_path / "b.jpg"])
