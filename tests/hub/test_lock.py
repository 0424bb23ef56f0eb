import io

import pytest
import torch
from loopback_weights import built, ours, repository

from zoo.core import registry
from zoo.errors import HubError, UsageError, VerificationError
from zoo.hub import lock
from zoo.hub.get import get


@pytest.fixture
def world(here, tmp_path, monkeypatch):
    """A user with an overlay of weights of their own, on the Hub and by URL."""
    commit = repository(
        here, "ann/net", {"model.safetensors": ours(), "README.md": "---\nlicense: mit\n---\n"}
    )
    file = io.BytesIO()
    torch.save(built().state_dict(), file)
    digest = here.store.file("x.pth", file.getvalue()).sha256
    overlay = tmp_path / "registry.toml"
    overlay.write_text(
        "# my own weights\nschema = 1\n\n[[model]]\nname = 'squeezenet1_1'  # small\n"
        "[[model.weights]]\nname = 'mine'\nsource = 'hub:ann/net'\nclasses = 7\n"
        f"[[model.weights]]\nname = 'byurl'\nsource = 'url:{here.api.cdn}/lfs/{digest}?signature=a'\n"
        f"sha256 = '{digest[:8]}'\n"
    )
    registry.load.cache_clear()
    yield here, overlay, commit, digest
    monkeypatch.chdir("/")
    registry.load.cache_clear()


def fresh():
    registry.load.cache_clear()
    return registry.load()


def pin(*references, path):
    return lock.lock(references, fresh(), path)


def test_weights_on_the_hub_are_pinned_without_a_download(world):
    hub, overlay, commit, _ = world
    (found,) = pin("squeezenet1_1:mine", path=overlay)
    assert (found.state, found.revision, found.licence) == ("new", commit, "mit")
    assert not hub.asked("/lfs/")
    text = overlay.read_text()
    assert text.startswith("# my own weights\n")
    assert "name = 'squeezenet1_1'  # small" in text
    weights = fresh().model("squeezenet1_1").weights[0]
    assert (weights.revision, weights.sha256, weights.classes) == (commit, found.sha256, 7)
    got = get("squeezenet1_1:mine", fresh(), locked=True)
    assert (got.revision, got.sha256) == (commit, found.sha256)


def test_a_url_is_pinned_by_its_whole_digest(world):
    _, overlay, _, digest = world
    with pytest.raises(VerificationError, match="squeezenet1_1:byurl is not locked") as error:
        get("squeezenet1_1:byurl", fresh(), locked=True)
    assert error.value.hint == "zoo lock squeezenet1_1:byurl"
    assert error.value.exit_code == 11
    (found,) = pin("squeezenet1_1:byurl", path=overlay)
    assert found.sha256 == digest
    assert found.bytes
    assert found.bytes > 1000
    assert get("squeezenet1_1:byurl", fresh(), locked=True).path.is_file()


def test_a_reference_holds_when_its_tag_moves(world):
    hub, overlay, commit, _ = world
    hub.store.tag("ann/net", "v1")
    pin("hub:ann/net@v1", path=overlay)
    hub.store.commit("ann/net", {"model.safetensors": ours(num_classes=9)})
    hub.store.tag("ann/net", "v1")
    got = get("hub:ann/net@v1", fresh(), locked=True)
    assert (got.revision, got.classes) == (commit, 7)
    (looked,) = lock.lock(["hub:ann/net@v1"], fresh(), overlay, write=False)
    assert looked.state == "moved"
    assert fresh().pins["hub:ann/net@v1"].revision == commit
    (again,) = pin("hub:ann/net@v1", path=overlay)
    assert (again.state, again.before) == ("moved", commit)
    assert get("hub:ann/net@v1", fresh(), locked=True).classes == 9
    assert overlay.read_text().count("[[pin]]") == 1


def test_another_content_under_the_pinned_commit_is_refused(world):
    _, overlay, _, _ = world
    pin("hub:ann/net", path=overlay)
    text = overlay.read_text()
    digest = fresh().pins["hub:ann/net"].sha256
    overlay.write_text(text.replace(digest, "0" * 64))
    with pytest.raises(HubError, match="not the file that was named"):
        get("hub:ann/net", fresh(), locked=True)


def test_locking_the_same_again_changes_no_byte(world):
    _, overlay, _, _ = world
    names = ("squeezenet1_1:mine", "hub:ann/net")
    pin(*names, path=overlay)
    before = overlay.read_bytes()
    found = pin(*lock.lock_all(overlay), path=overlay)
    assert [(f.reference, f.state) for f in found] == [(name, "same") for name in names]
    assert overlay.read_bytes() == before


def test_nothing_is_written_when_one_fails(world):
    _, overlay, _, _ = world
    before = overlay.read_bytes()
    with pytest.raises(HubError):
        pin("hub:ann/net", "hub:ann/gone", path=overlay)
    assert overlay.read_bytes() == before


def test_a_new_overlay_is_made_and_can_be_read(world, tmp_path):
    path = tmp_path / "other" / "pins.toml"
    pin("hub:ann/net", "squeezenet1_1:mine", path=path)
    assert lock.pinned_in(path) == ("squeezenet1_1:mine", "hub:ann/net")
    assert not lock.is_user_overlay(path)


def test_what_cannot_be_locked(world, tmp_path):
    _, overlay, _, _ = world
    with pytest.raises(UsageError, match="nothing to pin"):
        pin("file:x", path=overlay)
    with pytest.raises(UsageError, match="pins nothing yet"):
        lock.lock_all(tmp_path / "none.toml")
    overlay.write_text("schema = [")
    with pytest.raises(UsageError):
        lock.pinned_in(overlay)


def test_where_pins_are_written(world, tmp_path, monkeypatch):
    monkeypatch.setenv("ZOO_REGISTRY", "/a.toml:/b.toml")
    assert str(lock.overlay_path()) == "/b.toml"
    monkeypatch.delenv("ZOO_REGISTRY")
    assert lock.overlay_path().resolve() == world[1]
    monkeypatch.chdir(registry.builtin_path().parent)
    with pytest.raises(UsageError, match="is the built-in catalogue"):
        lock.overlay_path()
