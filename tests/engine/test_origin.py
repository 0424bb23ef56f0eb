import json

import pytest

from zoo.core import registry
from zoo.core.request import request
from zoo.engine.origin import ORIGIN_FILE, describe, located, started_in
from zoo.errors import DataError


@pytest.fixture
def away(tmp_path, monkeypatch):
    """A run begun in ``start``, while this process is elsewhere."""
    for name in ("start", "here", "run"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "start")
    (tmp_path / "run" / ORIGIN_FILE).write_text(describe())
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def recipe(**values):
    return request(
        "train", "resnet18", {"weights": "none", **values}, registry=registry.load()
    ).recipe


def where(given, run):
    return located(given, run, registry.load())


def test_the_folder_of_the_start_is_remembered(away):
    assert started_in(away / "run") == away / "start"
    assert started_in(away) is None
    (away / "run" / ORIGIN_FILE).write_text("[1")
    assert started_in(away / "run") is None


def test_relative_paths_lead_where_they_led(away):
    (away / "start" / "photos" / "held").mkdir(parents=True)
    given = recipe(data="photos", val="photos/held", data_root="sets")
    found = where(given, away / "run")
    assert found.data.source == str(away / "start" / "photos")
    assert found.data.val == str(away / "start" / "photos" / "held")
    assert found.data.root == "sets"
    assert given.data.source == "photos"


def test_a_project_that_moved_is_found_from_inside_it(away):
    (away / "here" / "photos").mkdir()
    assert where(recipe(data="photos"), away / "run").data.source == "photos"


def test_names_of_data_sets_and_absolute_paths_stay(away):
    (away / "start" / "demo").mkdir()
    assert where(recipe(data="demo"), away / "run").data.source == "demo"
    there = str(away / "start")
    assert where(recipe(data=there), away / "run").data.source == there


def test_data_that_is_gone_is_said_with_both_places(away):
    with pytest.raises(
        DataError, match=r"the data of the run is gone: there is no '\./photos'"
    ) as caught:
        where(recipe(data="./photos"), away / "run")
    assert str(away / "start") in caught.value.message
    assert "bring it back" in caught.value.hint
    with pytest.raises(DataError, match="no 'sub/photos' in"):
        where(recipe(data="sub/photos"), away / "run")
    with pytest.raises(DataError, match=r"there is no '/gone'$"):
        where(recipe(data="/gone"), away / "run")


def test_weights_in_a_file_are_found_too(away):
    (away / "start" / "w.safetensors").touch()
    given = recipe(weights="file:w.safetensors")
    found = where(given, away / "run")
    assert found.model.weights == f"file:{away / 'start' / 'w.safetensors'}"


def test_an_old_run_that_does_not_say_is_taken_as_it_is(away):
    (away / "run" / ORIGIN_FILE).unlink()
    given = recipe(data="photos")
    assert where(given, away / "run") is given
    (away / "run" / ORIGIN_FILE).write_text(json.dumps({"folder": str(away / "here")}))
    assert where(given, away / "run") is given


def test_trained_models_are_found_beside_the_run_or_where_it_was_started(away):
    beside = away / "big"
    beside.mkdir()
    (beside / "recipe.toml").write_text("")
    (away / "start" / "best.safetensors").write_text("")
    for text, place in [
        ("run:big", f"run:{beside}"),
        ("big", f"run:{beside}"),
        ("file:best.safetensors", f"file:{away / 'start' / 'best.safetensors'}"),
        ("best.safetensors", str(away / "start" / "best.safetensors")),
        ("hub:one/two", "hub:one/two"),
        ("resnet50", "resnet50"),
    ]:
        assert where(recipe(teacher=text), away / "run").loss.teacher == place
    assert where(recipe(weights="run:big"), away / "run").model.weights == f"run:{beside}"


def test_options_that_are_paths_lead_where_they_led(away, site):
    entry = "[[dataset]]\nname = 'late'\ntarget = 'x:y'\nsplits = []\npaths = ['files', 'more']\n"
    site.manifest("oak", entry)
    registry.load.cache_clear()
    for name in ("shards", "plain"):
        (away / "start" / name).mkdir()
    start = str(away / "start")
    for text, led in (
        ("shards/*.tar", f"{start}/shards/*.tar"),
        ("{a,b}.tar", f"{start}/{{a,b}}.tar"),
        ("plain", f"{start}/plain"),
        ("gone/*.tar", "gone/*.tar"),
        ("/else/*.tar", "/else/*.tar"),
        ("", ""),
        (["a"], ["a"]),
    ):
        given = recipe(data="oak/late", data_option={"files": text, "other": "plain"})
        assert where(given, away / "run").data.options == {"files": led, "other": "plain"}
        assert given.data.options["files"] == text
