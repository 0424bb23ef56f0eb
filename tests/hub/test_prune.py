import errno
import os
import time

import pytest
from filelock import FileLock, Timeout
from loopback_weights import ours, repository

from zoo.core import registry, settings
from zoo.hub import cache, prune, store
from zoo.hub.address import Address
from zoo.hub.pull import pull_file
from zoo.hub.repo import open_repo


def pull(name="model.safetensors"):
    repo = open_repo(Address("ann/net"))
    return pull_file(repo, name)


@pytest.fixture
def filled(here):
    repository(here, "ann/net", {"model.safetensors": ours(), "config.json": {}})
    old = pull()
    pull("config.json")
    here.store.commit("ann/net", {"model.safetensors": ours(num_classes=9)})
    new = pull()
    pull("config.json")
    path = store.folder() / "w.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"x" * 5000)
    store.keep(path, source="url:https://x/w.pth", origin="ab" * 32)
    half = cache.blob_path("ann/net", "f" * 64 + ".zoo-partial")
    half.write_bytes(b"y" * 700)
    (settings.cache_dir() / "something").mkdir()
    (settings.cache_dir() / "something" / "a").write_bytes(b"z" * 10)
    return old, new, path, half


def test_everything_is_listed_with_its_size(filled):
    old, new, _path, _half = filled
    found = {(i.kind, i.bytes) for i in prune.inventory()}
    # the config is the same blob in both commits: it frees nothing with either
    assert found >= {
        ("hub", old.stat().st_size), ("hub", new.stat().st_size), ("partial", 700), ("other", 10),
    }  # fmt: skip
    assert {i.name for i in prune.inventory() if not i.current} == {
        f"ann/net@{old.parent.name[:12]}"
    }


def test_a_plain_prune_takes_what_nobody_needs(filled):
    old, new, path, half = filled
    chosen = prune.choose(prune.inventory())
    assert {i.kind for i in chosen} == {"hub", "partial"}
    done = prune.remove(chosen)
    assert done.bytes == 700 + ours().__len__()
    assert (done.entries, done.used, done.refused) == (len(chosen), (), ())
    assert not old.exists()
    assert not half.exists()
    assert new.read_bytes() == ours(num_classes=9)
    assert (new.parent / "config.json").read_text() == "{}"
    assert path.exists()
    assert prune.choose(prune.inventory()) == []


def test_by_name_by_age_and_all(filled):
    _old, new, path, _half = filled
    found = prune.inventory()
    assert [i.name for i in prune.choose(found, names=["w.safe"])] == ["w.safetensors"]
    assert prune.choose(found, older_than=1) == []
    past = time.time() - 10 * 86400
    os.utime(path, (past, past))
    os.utime(store.record_path(path), (past, past))
    assert [i.name for i in prune.choose(prune.inventory(), older_than=9)] == ["w.safetensors"]
    prune.remove(prune.choose(found, everything=True))
    assert not new.exists()
    assert prune.inventory() == []


def test_what_other_tools_cached_stays(filled):
    other = cache.hub_cache() / "models--bob--net" / "snapshots" / ("d" * 40) / "model.safetensors"
    other.parent.mkdir(parents=True)
    other.write_bytes(b"theirs")
    prune.remove(prune.choose(prune.inventory(), everything=True))
    assert other.read_bytes() == b"theirs"


def test_kept_outputs_of_frozen_parts_are_listed_one_by_one_and_open_ones_stay(filled):
    root = settings.cache_dir() / "prefix"
    for name, size in (("aa", 30), ("bb", 40)):
        (root / name).mkdir(parents=True)
        (root / name / "features.bin").write_bytes(b"q" * size)
    found = [item for item in prune.inventory() if item.kind == "frozen"]
    assert [(item.name, item.bytes) for item in found] == [("prefix/bb", 40), ("prefix/aa", 30)]
    assert not [i for i in prune.choose(prune.inventory()) if i.kind == "frozen"]
    with FileLock(root / "aa" / ".lock", timeout=0):
        done = prune.remove(prune.choose(prune.inventory(), names=["prefix/"]))
        assert (done.bytes, done.entries, done.used) == (40, 1, ("prefix/aa",))
    assert [path.name for path in root.iterdir()] == ["aa"]
    assert prune.remove(prune.choose(prune.inventory(), names=["prefix/aa"])).bytes >= 30
    assert not list(root.iterdir())


def test_an_empty_machine(here):
    assert prune.inventory() == []


def stale():
    return [item.name for item in prune.inventory() if not item.current]


def test_what_a_pin_or_a_weights_entry_names_stays(filled, tmp_path, monkeypatch):
    old = filled[0].parent.name
    entry = f"source = 'hub:ann/net'\nrevision = '{old}'\n"
    model = "[[model]]\nname = 'squeezenet1_1'\n[[model.weights]]\nname = 'mine'\n"
    assert stale() == [f"ann/net@{old[:12]}"]
    for text in (f"[[pin]]\n{entry}", model + entry):
        (tmp_path / "registry.toml").write_text(f"schema = 1\n{text}")
        registry.load.cache_clear()
        assert stale() == []
    (tmp_path / "registry.toml").unlink()
    registry.load.cache_clear()
    assert stale() == [f"ann/net@{old[:12]}"]


def test_what_was_pulled_by_its_commit_stays(filled):
    old = filled[0].parent.name
    pull_file(open_repo(Address("ann/net", old)), "model.safetensors")
    assert stale() == []
    repo = open_repo(Address("ann/net"))
    for _ in range(2):  # a name that means the same commit takes nothing back
        cache.note_pull(
            "ann/net",
            old,
            endpoint="",
            revision="main",
            licence="",
            entry=repo.files["config.json"],
        )
    assert stale() == []


@pytest.mark.parametrize("kind", ["hub", "url"])
def test_a_download_of_another_process_stays(filled, kind):
    half = filled[3]
    lock = cache.lock_path("ann/net", "f" * 64)
    if kind == "url":
        half.unlink()
        half = store.folder() / "w.0a1b2c3d.download.zoo-partial"
        half.write_bytes(b"y" * 700)
        lock = store.folder() / "w.0a1b2c3d.safetensors.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    chosen = [i for i in prune.choose(prune.inventory()) if i.kind == "partial"]
    with FileLock(lock, timeout=0):
        assert prune.remove(chosen).used == (chosen[0].name,)
    assert half.stat().st_size == 700
    assert prune.remove(chosen).bytes == 700
    assert not half.exists()


def test_a_cache_that_cannot_be_written_is_said_and_counts_for_nothing(filled, monkeypatch):
    def refused(path, **where):
        raise OSError(errno.EROFS, "Read-only file system", path)

    chosen = prune.choose(prune.inventory(), everything=True)
    with monkeypatch.context() as patch:
        patch.setattr(os, "unlink", refused)
        patch.setattr(os, "rmdir", refused)
        done = prune.remove(chosen)
    assert (done.bytes, done.entries, len(done.refused)) == (0, 0, len(chosen))
    assert "cannot remove /" in str(done.refused[0])
    assert "Read-only file system" in str(done.refused[0])
    assert {i.name for i in prune.inventory()} >= {i.name for i in chosen}


def test_a_run_that_comes_while_its_folder_is_emptied_keeps_what_it_makes(filled, monkeypatch):
    folder = settings.cache_dir() / "prefix" / "aa"
    folder.mkdir(parents=True)
    (folder / "features.bin").write_bytes(b"q" * 30)
    (chosen,) = prune.choose(prune.inventory(), names=["prefix/aa"])
    unlink = os.unlink
    refused = []

    def watched(path, **where):
        if str(path).endswith("features.bin"):
            try:
                FileLock(folder / ".lock", timeout=0).acquire()
            except Timeout:
                refused.append(path)
        unlink(path, **where)
        if str(path).endswith(".lock"):
            (folder / "features.bin").write_bytes(b"new")

    monkeypatch.setattr(os, "unlink", watched)
    prune.remove([chosen])
    assert refused
    assert (folder / "features.bin").read_bytes() == b"new"
