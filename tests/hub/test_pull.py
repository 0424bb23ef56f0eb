"""Files arrive whole and verified, whatever the network does."""

import os
from types import SimpleNamespace

import pytest
from loopback_weights import blob, only, repository

from zoo.errors import CheckpointError, DiskError, HubError
from zoo.hub import cache, pull
from zoo.hub.address import Address
from zoo.hub.repo import open_repo

NET = Address("ann/net")
WEIGHTS = blob(3_000_000)


@pytest.fixture
def net(here):
    files = {"model.safetensors": WEIGHTS, "config.json": {"a": 1}, "sub/notes.txt": "hello"}
    repository(here, "ann/net", files)
    return here


def fetch(name="model.safetensors", **how):
    return pull.pull_file(open_repo(NET), name, **how)


def bodies(net):
    return [s for s in net.asked("/lfs/") if not s.range.startswith("bytes=0-")]


def test_a_large_file_lies_in_the_standard_cache(net):
    steps = []
    path = fetch(progress=lambda done, total: steps.append((done, total)))
    assert path.read_bytes() == WEIGHTS
    commit = net.store.repos["ann/net"].head
    assert path.parent.name == commit.oid
    assert path.is_symlink()
    assert path.resolve().name == commit.files["model.safetensors"].sha256
    assert not os.path.isabs(os.readlink(path))
    assert steps[0] == (0, len(WEIGHTS))
    assert steps[-1] == (len(WEIGHTS), len(WEIGHTS))
    assert all(not s.authorized for s in net.asked("/lfs/"))
    assert (cache.repo_folder("ann/net") / "refs" / "main").read_text() == commit.oid
    assert oct(path.resolve().stat().st_mode & 0o777) == oct(0o666 & ~current_umask())


def current_umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_other_tools_find_it_offline(home):
    repository(home.hub, "ann/net", {"model.safetensors": WEIGHTS})
    code = (
        "from zoo.hub.repo import open_repo; from zoo.hub.pull import pull_file;"
        "from zoo.hub.address import Address;"
        "pull_file(open_repo(Address('ann/net')), 'model.safetensors')"
    )
    assert home.run("-c", code).code == 0
    home.hub.seen.clear()
    code = (
        "from huggingface_hub import hf_hub_download as d; print(d('ann/net','model.safetensors'))"
    )
    found = home.run("-c", code, env={"HF_HUB_OFFLINE": "1"})
    assert found.out.strip().endswith("model.safetensors")
    assert not home.hub.seen


def test_a_second_pull_asks_for_no_body(net):
    fetch()
    net.seen.clear()
    fetch()
    assert not net.asked("/lfs/")
    assert not net.asked("/resolve/", "HEAD")


def test_a_small_file_is_verified_by_its_git_digest(net):
    assert fetch("sub/notes.txt").read_text() == "hello"
    net.fault("flip", path="resolve-cache", times=9)
    with pytest.raises(
        HubError, match=r"config.json of ann/net came damaged twice; it was removed"
    ):
        fetch("config.json")
    assert not list((cache.repo_folder("ann/net") / "blobs").glob("*.zoo-partial"))


def test_the_private_token_goes_to_the_hub_and_not_to_the_cdn(net, monkeypatch):
    net.store.repos["ann/net"].private = True
    monkeypatch.setenv("HF_TOKEN", net.store.token("ann"))
    fetch()
    assert all(s.authorized == (s.server == "hub") for s in net.seen)


@pytest.mark.parametrize("kind", ["reset", "cut", "stall"])
def test_a_broken_body_goes_on_where_it_broke(net, kind):
    net.fault(kind, path="/lfs/", after=1_000_000, seconds=3)
    said = []
    assert fetch(note=said.append).read_bytes() == WEIGHTS
    first, second = net.asked("/lfs/")
    assert first.range == ""
    start = int(second.range.removeprefix("bytes=").rstrip("-"))
    assert 0 < start <= 1_000_000
    assert len(said) == 1
    assert "trying again" in said[0]


def test_many_small_steps_are_progress(net):
    for n in range(1, 9):
        net.fault("cut", path="/lfs/", after=n * 1000)
    assert fetch().read_bytes() == WEIGHTS


def test_a_5xx_or_a_429_in_the_body_is_repeated(net):
    net.fault("status", path="/lfs/", status=503, times=2)
    net.fault("status", path="/lfs/", status=429, headers={"Retry-After": "0"})
    assert fetch().read_bytes() == WEIGHTS


def test_an_expired_signature_is_asked_for_anew(net):
    net.fault("cut", path="/lfs/", after=500_000)
    net.fault("status", path="/lfs/", status=403)
    net.faults.reverse()
    net.faults[0].times = 0
    net.faults[1].action = lambda: setattr(net.faults[0], "times", 1)
    assert fetch().read_bytes() == WEIGHTS
    assert len(net.asked("/resolve/", "HEAD")) == 3


def test_a_server_without_ranges_starts_over(net):
    net.fault("cut", path="/lfs/", after=700_000)
    net.fault("norange", path="/lfs/", times=9)
    assert fetch().read_bytes() == WEIGHTS


def test_a_short_body_is_not_believed(net):
    net.fault("short", path="/lfs/", after=100)
    assert fetch().read_bytes() == WEIGHTS


def test_one_flipped_bit_is_fetched_once_more(net):
    net.fault("flip", path="/lfs/", after=2_000_000)
    said = []
    assert fetch(note=said.append).read_bytes() == WEIGHTS
    assert "damaged download removed" in said[0]
    assert len(net.asked("/lfs/")) == 2


def test_damaged_twice_is_an_error_and_leaves_nothing(net):
    net.fault("flip", path="/lfs/", after=2_000_000, times=9)
    with pytest.raises(HubError, match="came damaged twice"):
        fetch()
    assert len(net.asked("/lfs/")) == 2
    assert not list(cache.repo_folder("ann/net").rglob("model.safetensors"))
    assert not list((cache.repo_folder("ann/net") / "blobs").iterdir())


def test_a_blob_that_rotted_in_the_cache_is_replaced(net):
    path = fetch()
    with path.open("r+b") as file:
        file.seek(1000)
        file.write(b"rot")
    assert fetch().read_bytes() == WEIGHTS


def test_a_server_gone_for_good_keeps_what_came(net):
    net.fault("reset", path="/lfs/", after=2_000_000, action=net.stop)
    with pytest.raises(HubError, match="cannot reach") as error:
        fetch()
    assert "it goes on at " in error.value.hint
    assert only(cache.hub_cache(), "*.zoo-partial").stat().st_size > 0


def test_a_pin_that_the_file_does_not_meet(net):
    with pytest.raises(HubError, match="not the file that was named"):
        fetch(wanted="0" * 64)
    assert not net.asked("/lfs/")


def test_a_file_that_is_not_there(net):
    with pytest.raises(HubError, match=r"no file 'x.safetensors'") as error:
        fetch("x.safetensors")
    assert "model.safetensors" in error.value.hint


def test_a_gated_repository_says_where_to_ask(net, monkeypatch):
    net.store.repos["ann/net"].gated = True
    with pytest.raises(HubError, match="ann/net is gated") as error:
        fetch()
    assert f"ask for access at {net.endpoint}/ann/net, then hf auth login" in error.value.hint


def test_a_read_only_cache_is_a_disk_error(net, monkeypatch, tmp_path):
    from huggingface_hub import constants

    (tmp_path / "file").write_text("")
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "file" / "hub"))
    with pytest.raises(DiskError, match="cannot write"):
        fetch()


def test_no_room_is_said_before_the_download(net, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=1000))
    with pytest.raises(DiskError, match="0 MB free, 3 MB are needed"):
        fetch()
    assert not net.asked("/lfs/")


def test_the_header_comes_first_and_costs_100_kb(net):
    header = pull.remote_header(open_repo(NET), "model.safetensors")
    assert header.tensors == {"noise": ("U8", (3_000_000,))}
    assert net.asked("/lfs/")[0].range == "bytes=0-99999"
    assert net.body_bytes < 200_000


def test_the_header_of_a_server_without_ranges(net):
    net.fault("norange", path="/lfs/", times=9)
    header = pull.remote_header(open_repo(NET), "model.safetensors")
    assert header.metadata == {"format": "pt"}


def test_what_is_no_safetensors_is_told_from_its_start(here):
    files = {"a.safetensors": b"<!doctype html>" + b" " * 500, "b.safetensors": b"\xff" * 500}
    repository(here, "ann/net", files)
    with pytest.raises(CheckpointError, match="is an HTML page"):
        pull.remote_header(open_repo(NET), "a.safetensors")
    with pytest.raises(CheckpointError, match="truncated or not a safetensors"):
        pull.remote_header(open_repo(NET), "b.safetensors")


def test_a_header_that_comes_damaged_is_looked_at_twice(net):
    net.fault("flip", path="/lfs/", after=0)
    assert pull.remote_header(open_repo(NET), "model.safetensors").tensors["noise"]


def test_a_header_that_rotted_in_the_cache_is_fetched_anew(net):
    path = fetch()
    path.write_bytes(b"rot" + WEIGHTS[3:])
    assert pull.remote_header(open_repo(NET), "model.safetensors").tensors["noise"]
    assert fetch().read_bytes() == WEIGHTS


def test_an_empty_weights_file_is_told_as_one(here):
    repository(here, "ann/net", {"model.safetensors": b"", "README.md": b""})
    repo = open_repo(NET)
    with pytest.raises(
        CheckpointError, match=r"ann/net/model.safetensors is empty, not a safetens"
    ):
        pull.remote_header(repo, "model.safetensors")
    assert not here.asked("/lfs/")
    assert pull.pull_file(repo, "README.md").read_bytes() == b""
    assert pull.pull_file(repo, "model.safetensors").read_bytes() == b""
    with pytest.raises(CheckpointError, match=r"empty|truncated"):
        pull.remote_header(repo, "model.safetensors")
