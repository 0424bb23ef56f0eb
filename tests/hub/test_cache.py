import pytest
from loopback_weights import repository

from zoo.errors import HubError
from zoo.hub import cache
from zoo.hub.address import Address
from zoo.hub.cache import Entry
from zoo.hub.pull import pull_file
from zoo.hub.repo import open_repo

COMMIT = "c" * 40


@pytest.fixture
def net(here):
    repository(here, "ann/net", {"model.safetensors": b"w" * 99, "config.json": {}})
    repo = open_repo(Address("ann/net"))
    for name in ("model.safetensors", "config.json"):
        pull_file(repo, name)
    return repo


def test_what_is_cached_is_listed(net):
    assert cache.cached_repos() == ("ann/net",)
    assert cache.cached_revisions("ann/net") == {"main": net.commit}
    assert cache.cached_commits("ann/net") == (net.commit,)
    assert cache.resolve_cached("ann/net", "") == net.commit
    assert cache.resolve_cached("ann/net", net.commit) == net.commit
    assert cache.resolve_cached("ann/net", "v1") == ""
    assert cache.resolve_cached("ann/other", "") == ""
    entries = cache.cached_entries("ann/net", net.commit)
    assert {n: len(e.digest) for n, e in entries.items()} == {
        "model.safetensors": 64,
        "config.json": 40,
    }


def test_digests_come_from_links_records_and_the_clients_listing(net):
    cache.pull_record_path("ann/net", net.commit).unlink()
    entries = cache.cached_entries("ann/net", net.commit)
    assert len(entries["model.safetensors"].digest) == 64  # from the link's name
    path = cache.cached_file("ann/net", net.commit, "model.safetensors")
    data = path.read_bytes()
    path.unlink()
    path.write_bytes(data)  # a machine without links
    assert cache.cached_entries("ann/net", net.commit)["model.safetensors"].digest == ""
    trees = cache.repo_folder("ann/net") / "trees"
    trees.mkdir()
    (trees / f"{net.commit}.json").write_text(
        '{"format_version": 1, "files": {"model.safetensors": {"size": 99, "blob_id": "b", "lfs_sha256": "abc"}}}'
    )
    assert cache.cached_entries("ann/net", net.commit)["model.safetensors"].digest == "abc"
    (trees / f"{net.commit}.json").write_text("damaged")
    assert cache.cached_entries("ann/net", net.commit)["model.safetensors"].digest == ""


def test_the_clients_own_scan_understands_it(net):
    from huggingface_hub import scan_cache_dir

    found = scan_cache_dir(cache.hub_cache())
    (repo,) = found.repos
    assert (repo.repo_id, repo.nb_files, repo.size_on_disk) == ("ann/net", 2, 101)
    assert not found.warnings


def test_a_link_never_leaves_its_folder(net):
    for path in ("../x", "/etc/x", "a/../../x"):
        with pytest.raises(HubError, match="outside of its own folder"):
            cache.link("ann/net", COMMIT, path, "0" * 64)


def test_linking_twice_and_without_links(net, monkeypatch):
    digest = net.files["model.safetensors"].digest
    first = cache.link("ann/net", COMMIT, "sub/w.safetensors", digest)
    assert cache.link("ann/net", COMMIT, "sub/w.safetensors", digest) == first
    assert first.is_symlink()
    monkeypatch.setattr("pathlib.Path.symlink_to", lambda *_: (_ for _ in ()).throw(OSError("no")))
    copied = cache.link("ann/net", COMMIT, "copy.safetensors", digest)
    assert not copied.is_symlink()
    assert copied.read_bytes() == first.read_bytes()


def test_a_branch_is_noted_and_a_commit_is_not(net):
    cache.write_ref("ann/net", "refs/pr/1", COMMIT)
    cache.write_ref("ann/net", COMMIT, COMMIT)
    assert cache.cached_revisions("ann/net")["refs/pr/1"] == COMMIT
    assert len(cache.cached_revisions("ann/net")) == 2


def test_notes_of_pulls_add_up(here):
    for name in ("a", "b"):
        entry = Entry(path=name, size=1, digest="d")
        cache.note_pull("x/y", COMMIT, endpoint="e", revision="main", licence="mit", entry=entry)
    assert set(cache.pull_record("x/y", COMMIT)["files"]) == {"a", "b"}
    cache.pull_record_path("x/y", COMMIT).write_text("damaged")
    assert cache.pull_record("x/y", COMMIT) == {}


def test_a_damaged_blob_of_the_shared_store_goes_with_its_link(net):
    shared = cache.hub_cache() / "blobs" / "ab" / "hash"
    shared.parent.mkdir(parents=True)
    shared.write_bytes(b"x")
    blob = cache.blob_path("ann/net", "0" * 64)
    blob.symlink_to(shared)
    cache.remove_blob(blob)
    assert not shared.exists()
    assert not blob.is_symlink()
