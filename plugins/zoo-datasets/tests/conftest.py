"""The loopback hub of the main suite with data sets in it, and three colours in every format."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

import colours
from loopback_api import Api
from loopback_hub import LoopbackHub


@pytest.fixture(autouse=True)
def online(monkeypatch):
    """``--offline`` in a test is a setting of its process: it ends with the test."""
    for name in ("ZOO_OFFLINE", "HF_HUB_OFFLINE"):
        monkeypatch.setenv(name, "0")


@pytest.fixture(scope="session")
def written(tmp_path_factory):
    """A folder with ``shards``, ``tars`` and ``saved``; tests only read it."""
    return colours.write(tmp_path_factory.mktemp("colours") / "here")


@pytest.fixture
def place(written, tmp_path, monkeypatch):
    """An empty folder to work in, with the data beside it and a cache of its own."""
    for name in ("shards", "tars", "saved"):
        (tmp_path / name).symlink_to(written / name)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ZOO_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("ZOO_CONFIG", str(tmp_path / "config"))
    return tmp_path


@pytest.fixture
def zoo(capsys):
    """Run the command line in this process: ``code, stdout, stderr = zoo("train", ...)``."""
    from zoo.cli.main import run

    def call(*args):
        capsys.readouterr()
        code = run([str(arg) for arg in args])
        return code, *capsys.readouterr()

    return call


class DatasetsApi(Api):
    """The same repositories, under the addresses of data sets."""

    def __call__(self, request):
        for theirs, ours in (
            ("/api/datasets/", "/api/models/"),
            ("/api/resolve-cache/datasets/", "/api/resolve-cache/models/"),
            ("/datasets/", "/"),
        ):
            if request.path.startswith(theirs):
                request.path = ours + request.path.removeprefix(theirs)
                return super().__call__(request)
        return super().__call__(request)


@pytest.fixture
def hub(monkeypatch):
    """A Hub with an empty data set ``anna/colours``; this process asks it."""
    from huggingface_hub import constants

    with LoopbackHub() as running:
        made = DatasetsApi(running.store)
        made.base, made.cdn = running.api.base, running.api.cdn
        running.api = made
        running.store.create("anna/colours")
        monkeypatch.setenv("HF_ENDPOINT", running.endpoint)
        monkeypatch.setattr(constants, "HF_HUB_DOWNLOAD_TIMEOUT", 2)
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", "/nonexistent/token")
        yield running


@pytest.fixture
def filled(hub, written):
    """The same with the parquet files and a card that names them."""
    names = sorted((written / "shards").iterdir())
    files = {f"data/{path.name}": path.read_bytes() for path in names}
    card = "---\nconfigs:\n- config_name: default\n  data_files:\n"
    for path in names:
        card += f"  - split: {path.name.partition('-')[0]}\n    path: data/{path.name[:5]}*\n"
    hub.store.commit("anna/colours", {**files, "README.md": f"{card}---\n# Colours\n".encode()})
    return hub
