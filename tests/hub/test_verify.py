import pytest
from loopback_weights import ours, repository

from zoo.hub import cache, store, verify
from zoo.hub.address import Address
from zoo.hub.pull import pull_file
from zoo.hub.repo import open_repo


@pytest.fixture
def filled(here):
    repository(here, "ann/net", {"model.safetensors": ours(), "config.json": {}})
    repo = open_repo(Address("ann/net"))
    for name in repo.files:
        pull_file(repo, name)
    path = store.folder() / "w.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(ours())
    store.keep(path, source="url:https://x/w.pth", origin="ab" * 32)
    here.seen.clear()
    return here, repo, path


def states(found):
    return {one.name.rpartition(" ")[2]: one.state for one in found}


def flip(path, at=-1):
    data = bytearray(path.read_bytes())
    data[at] ^= 1
    path.write_bytes(data)


def test_everything_is_hashed_without_a_request(filled):
    hub, _, _ = filled
    seen = []
    found = verify.verify_cache(looked=seen.append)
    assert states(found) == dict.fromkeys(
        ("w.safetensors", "model.safetensors", "config.json", ".gitattributes"), "ok"
    )
    assert seen == found
    assert not hub.seen


def test_a_flipped_bit_is_found_and_removed(filled):
    hub, repo, path = filled
    cached = cache.cached_file("ann/net", repo.commit, "model.safetensors")
    for one in (path, cached):
        flip(one)
    found = verify.verify_cache()
    assert states(found)["w.safetensors"] == states(found)["model.safetensors"] == "damaged"
    assert "its digest is" in next(one.detail for one in found if one.state == "damaged")
    assert len(verify.remove_damaged(found)) == 2
    assert not path.exists()
    assert pull_file(repo, "model.safetensors").read_bytes() == hub.store.read(
        "ann/net", "model.safetensors"
    )


def test_a_damaged_header_is_found_too(filled):
    _, _, path = filled
    path.write_bytes(b"\xff" * 100)
    (one,) = verify.verify_cache(["w.safetensors"])
    assert one.state == "damaged"
    assert "truncated" in one.detail


def test_only_what_was_named(filled):
    assert set(states(verify.verify_cache(["hub:ann/net"]))) == {
        "model.safetensors",
        "config.json",
        ".gitattributes",
    }
    assert set(states(verify.verify_cache(["w.safe"]))) == {"w.safetensors"}
    assert verify.verify_cache(["nothing"]) == []


def test_files_of_nobody_are_unknown(filled):
    path = store.folder() / "other.safetensors"
    path.write_bytes(ours())
    assert states(verify.verify_cache())["other.safetensors"] == "unknown"


def test_files_that_other_tools_brought_are_checked_too(home, hub):
    repository(hub, "ann/net", {"model.safetensors": ours()})
    code = "from huggingface_hub import snapshot_download; snapshot_download('ann/net')"
    assert home.run("-c", code).code == 0
    code = "from zoo.hub.verify import verify_cache; print([o.state for o in verify_cache()])"
    assert home.run("-c", code).out.strip() == "['ok', 'ok']"
