import io
import json
import shutil

import pytest
import torch
from loopback_weights import built, ours, repository

from zoo.core import registry
from zoo.core.specs import WeightsSpec
from zoo.errors import HubError, UsageError
from zoo.hub import mirror, store
from zoo.hub.fetch import fetch_weights
from zoo.hub.model import fetch_hub


@pytest.fixture
def mirrored(here, tmp_path, monkeypatch):
    """A mirror of one model by URL, one on the Hub, and one repository."""
    repository(here, "ann/net", {"model.safetensors": ours(), "config.json": {}, "README.md": "x"})
    file = io.BytesIO()
    torch.save(built().state_dict(), file)
    digest = here.store.file("x.pth", file.getvalue()).sha256
    url = f"{here.api.cdn}/lfs/{digest}?signature=a"
    (tmp_path / "registry.toml").write_text(
        "schema = 1\n[[model]]\nname = 'squeezenet1_1'\n"
        "[[model.weights]]\nname = 'hubbed'\nsource = 'hub:ann/net'\n"
        f"[[model.weights]]\nname = 'byurl'\nsource = 'url:{url}'\nsha256 = '{digest}'\n"
    )
    registry.load.cache_clear()
    names = ("squeezenet1_1:byurl", "squeezenet1_1:hubbed", "hub:ann/net")
    items = mirror.write_mirror(names, tmp_path / "mirror", registry.load())
    yield (
        here,
        tmp_path / "mirror",
        items,
        WeightsSpec(name="byurl", source=f"url:{url}", sha256=digest),
    )
    monkeypatch.chdir("/")
    registry.load.cache_clear()


def forget(tmp_path):
    for folder in ("zoo", "hf"):
        shutil.rmtree(tmp_path / folder, ignore_errors=True)


def test_the_folder_is_used_in_place_without_a_network(mirrored, tmp_path, monkeypatch):
    hub, folder, _, _ = mirrored
    forget(tmp_path)
    hub.stop()
    moved = folder.rename(tmp_path / "elsewhere")
    (tmp_path / "registry.toml").unlink()
    monkeypatch.setenv("ZOO_REGISTRY", str(moved / "registry.toml"))
    registry.load.cache_clear()
    spec = registry.load().model("squeezenet1_1")
    for weights in spec.weights[:2]:
        got = fetch_weights(weights, model=spec.name)
        assert got.path.is_relative_to(moved)
        assert got.header.tensors


def test_the_folder_is_taken_into_the_caches(mirrored, tmp_path, monkeypatch):
    hub, folder, items, byurl = mirrored
    forget(tmp_path)
    hub.stop()
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    taken = mirror.read_mirror(folder)
    assert {i.reference for i in taken} == {i.reference for i in items}
    for name in ("mirror.json", "registry.toml"):
        assert "signature" not in (folder / name).read_text()
    assert fetch_weights(byurl, model="squeezenet1_1").path.parent == store.folder()
    assert fetch_hub("hub:ann/net").classes[0] == "class 0"


def test_single_references_are_taken(mirrored, tmp_path):
    _, folder, _, _ = mirrored
    forget(tmp_path)
    taken = mirror.read_mirror(folder, ["hub:ann/net"])
    assert {i.file for i in taken} == {"model.safetensors", "config.json", "README.md"}
    assert not list(store.stored())
    with pytest.raises(HubError, match="the mirror has no resnet18") as error:
        mirror.read_mirror(folder, ["resnet18"])
    assert "squeezenet1_1:byurl" in error.value.hint


def test_a_second_mirroring_adds_and_copies_nothing_twice(mirrored, tmp_path):
    _hub, folder, _, _ = mirrored
    before = {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")}
    mirror.write_mirror(["squeezenet1_1:byurl"], folder, registry.load())
    assert {p: p.stat().st_mtime_ns for p in folder.rglob("*.safetensors")} == before
    assert len(json.loads((folder / "mirror.json").read_text())["items"]) == 5


def test_a_damaged_file_is_not_taken(mirrored, tmp_path):
    _, folder, items, _ = mirrored
    path = folder / items[0].path
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(HubError, match="is damaged"):
        mirror.read_mirror(folder)
    path.unlink()
    with pytest.raises(HubError, match="is missing"):
        mirror.read_mirror(folder)


@pytest.mark.parametrize(
    "change",
    [
        {"path": "../../x"}, {"path": "/etc/passwd"}, {"digest": "../../../x"}, {"digest": "zz" * 32},
        {"repo": "../x"}, {"commit": "../../x"}, {"file": "../../x"}, {"unknown": 1}, {"stored": "../x"},
    ],
)  # fmt: skip
def test_an_index_that_leads_elsewhere_is_refused(mirrored, tmp_path, change):
    _, folder, _, _ = mirrored
    index = json.loads((folder / "mirror.json").read_text())
    index["items"][-1].update(change)
    (folder / "mirror.json").write_text(json.dumps(index))
    with pytest.raises(HubError, match="is not a mirror's index"):
        mirror.read_mirror(folder)


def test_what_is_no_mirror(tmp_path):
    with pytest.raises(HubError, match="is no mirror"):
        mirror.read_mirror(tmp_path)
    with pytest.raises(UsageError, match="is here already"):
        mirror.write_mirror(["file:x"], tmp_path, registry.load())
