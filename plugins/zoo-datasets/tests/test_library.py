"""The library is asked quietly, keeps its caches where zoo's are, and reads nothing from elsewhere."""

from __future__ import annotations

import ast
import inspect
import socket
from pathlib import Path

import datasets
import pytest
from colours import png, tar
from huggingface_hub import constants

import zoo_datasets
from zoo.errors import DataError, UsageError
from zoo_datasets import library


def test_where_its_caches_lie(monkeypatch):
    for name in ("HF_HOME", "HF_DATASETS_CACHE", "HF_HUB_CACHE"):
        monkeypatch.delenv(name, raising=False)
    root = Path("/sets/huggingface")
    assert library.caches("/sets") == (root / "datasets", root / "hub")
    monkeypatch.setenv("HF_HOME", "/home/hf")
    assert library.caches("/sets") == (Path("/home/hf/datasets"), Path("/home/hf/hub"))
    monkeypatch.setenv("HF_DATASETS_CACHE", "/d")
    monkeypatch.setenv("HF_HUB_CACHE", "/h")
    assert library.caches("/sets") == (Path("/d"), Path("/h"))


def test_its_settings_are_the_users_again_afterwards():
    before = datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE
    bars, level = datasets.are_progress_bars_disabled(), datasets.logging.get_verbosity()
    with library.still():
        assert datasets.config.HF_HUB_OFFLINE
        assert datasets.are_progress_bars_disabled()
    assert before == (datasets.config.HF_HUB_OFFLINE, constants.HF_HUB_OFFLINE)
    assert datasets.are_progress_bars_disabled() == bars
    assert datasets.logging.get_verbosity() == level


def test_files_are_converted_without_a_word_or_a_request(written, tmp_path, monkeypatch, capfd):
    def refuse(*args, **options):
        raise AssertionError("a request")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    for kind, folder in (("parquet", "shards"), ("webdataset", "tars")):
        files = {"train": sorted((written / folder).glob("train*"))}
        found = library.from_files(kind, files, tmp_path / kind)
        assert len(found["train"]) == 18
        (cached, *_) = found["train"].cache_files
        assert cached["filename"].startswith(str(tmp_path / kind))
    assert len(library.from_disk(written / "saved")["test"]) == 6
    assert capfd.readouterr() == ("", "")


def test_names_with_magic_characters(written, tmp_path):
    name = tmp_path / "odd [1] *.parquet"
    name.write_bytes(next((written / "shards").glob("test*")).read_bytes())
    assert len(library.from_files("parquet", {"test": [name]}, tmp_path / "c")["test"]) == 6


@pytest.mark.parametrize("kind", ["parquet", "webdataset"])
def test_a_file_that_is_not_whole_is_named(written, tmp_path, kind):
    folder, suffix = {"parquet": ("shards", ".parquet"), "webdataset": ("tars", ".tar")}[kind]
    whole = next((written / folder).glob(f"train*{suffix}"))
    for data in (b"no such thing" * 100, whole.read_bytes()[:3000]):
        bad = tmp_path / f"bad{suffix}"
        bad.write_bytes(data)
        with pytest.raises(DataError, match=f"bad{suffix} cannot be read: ") as raised:
            library.from_files(kind, {"train": [whole, bad]}, tmp_path / "cache")
        assert "\n" not in raised.value.message
        assert raised.value.hint == "repair it, or leave it out of the pattern"


def test_samples_that_do_not_fit_together(tmp_path):
    """Whole files, and yet no data set: the library's words, in one line."""
    odd = tar(tmp_path / "odd.tar", [("1.png", png(0)), ("2.cls", b"1")])
    with pytest.raises(DataError, match=r"webdataset files cannot be read: .*prefix"):
        library.from_files("webdataset", {"train": [odd]}, tmp_path / "cache")


def test_a_place_that_cannot_be_written_to(written, tmp_path):
    (tmp_path / "file").write_text("")
    files = {"train": sorted((written / "shards").glob("train*"))}
    with pytest.raises(DataError, match="cannot be read"):
        library.from_files("parquet", files, tmp_path / "file" / "cache")


def card(folder, text):
    folder.mkdir(exist_ok=True)
    (folder / "README.md").write_text(f"---\n{text}\n---\n")
    return folder


def test_a_card_that_names_files_elsewhere(written, tmp_path):
    for path in (f"{written}/shards/*.parquet", "../here/*.parquet"):
        folder = card(
            tmp_path / "repo", f"configs:\n- config_name: default\n  data_files: {path!r}"
        )
        (tmp_path / "here").mkdir(exist_ok=True)
        (tmp_path / "here" / "train.parquet").write_bytes(
            next((written / "shards").glob("train*")).read_bytes()
        )
        with pytest.raises(DataError, match="names files outside of itself"):
            library.from_folder(folder, "", tmp_path / "cache", "a/b")


def test_a_card_that_names_another_server(tmp_path):
    text = "configs:\n- config_name: default\n  data_files: 'https://127.0.0.1:9/train.parquet'"
    with pytest.raises(DataError):
        library.from_folder(card(tmp_path / "repo", text), "", tmp_path / "cache", "a/b")


def test_formats_without_images(tmp_path):
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "train.csv").write_text("a,b\n1,2\n")
    with pytest.raises(DataError, match="a/b is of the format csv"):
        library.from_folder(tmp_path / "repo", "", tmp_path / "cache", "a/b")
    (tmp_path / "repo" / "train.csv").unlink()
    with pytest.raises(DataError, match="a/b cannot be read"):
        library.from_folder(tmp_path / "repo", "", tmp_path / "cache", "a/b")


def test_configurations_are_named(written, tmp_path):
    text = "configs:\n- {config_name: s, data_files: s/*}\n- {config_name: t, data_files: s/*}"
    folder = card(tmp_path / "repo", text)
    (folder / "s").symlink_to(written / "shards")
    for config in ("", "x"):
        with pytest.raises(UsageError) as raised:
            library.from_folder(folder, config, tmp_path / "cache", "a/b")
        assert "s, t" in raised.value.message
        assert raised.value.hint == "--data-option config=s"


def test_folders_of_images_and_tars_of_a_repository(tmp_path):
    for split in ("train", "test"):
        for name in ("cat", "dog"):
            place = tmp_path / "repo" / split / name
            place.mkdir(parents=True)
            (place / "1.png").write_bytes(png(0))
    found = library.from_folder(tmp_path / "repo", "", tmp_path / "cache", "a/b")
    assert found["train"].features["label"].names == ["cat", "dog"]
    tar(tmp_path / "tars" / "train-0.tar", [("1.png", png(0)), ("1.cls", b"0")])
    found = library.from_folder(tmp_path / "tars", "", tmp_path / "cache", "a/b")
    assert {"png", "cls"} <= set(found["train"].column_names)


def test_no_code_that_came_along_is_run(tmp_path):
    folder = tmp_path / "colours"
    folder.mkdir()
    (folder / "colours.py").write_text(f"open({str(tmp_path / 'ran')!r}, 'w')\n")
    with pytest.raises(DataError, match="scripts are no longer supported"):
        library.from_folder(folder, "", tmp_path / "cache", "a/colours")
    assert not (tmp_path / "ran").exists()
    sources = Path(zoo_datasets.__file__).parent.glob("*.py")
    names = {getattr(n, "arg", None) for s in sources for n in ast.walk(ast.parse(s.read_text()))}
    assert "trust_remote_code" not in names
    for function in (datasets.load_dataset, datasets.load_from_disk):
        assert inspect.signature(function).parameters.get("trust_remote_code") is None


def test_a_single_data_set_on_disk(written, tmp_path):
    datasets.load_from_disk(str(written / "saved"))["train"].save_to_disk(tmp_path / "one")
    assert list(library.from_disk(tmp_path / "one")) == ["train"]
    (tmp_path / "one" / "data-00000-of-00001.arrow").write_bytes(b"torn")
    with pytest.raises(DataError, match="cannot be read"):
        library.from_disk(tmp_path / "one")
