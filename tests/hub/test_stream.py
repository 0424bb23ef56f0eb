import hashlib

import pytest

from zoo.errors import DiskError, HubError
from zoo.hub import stream
from zoo.hub.stream import Location, download
from zoo.hub.subject import Subject

DATA = bytes(range(256)) * 8000


@pytest.fixture
def served(here):
    digest = here.store.file("model.bin", DATA).sha256
    return here, Location(f"{here.api.cdn}/lfs/{digest}?signature=a", {}, len(DATA))


def run(where, path, **how):
    return download(lambda: where, path, subject=Subject(repo="a/b", file="model.bin"), **how)


def test_the_digest_is_that_of_the_whole_file(served, tmp_path):
    _hub, where = served
    assert run(where, tmp_path / "x" / "p") == hashlib.sha256(DATA).hexdigest()
    assert (tmp_path / "x" / "p").read_bytes() == DATA


def test_what_is_there_is_hashed_and_not_asked_for(served, tmp_path):
    hub, where = served
    (tmp_path / "p").write_bytes(DATA[:1_000_000])
    assert run(where, tmp_path / "p") == hashlib.sha256(DATA).hexdigest()
    assert [s.range for s in hub.asked("/lfs/")] == ["bytes=1000000-"]


def test_a_whole_file_needs_no_request(served, tmp_path):
    hub, where = served
    (tmp_path / "p").write_bytes(DATA)
    assert run(where, tmp_path / "p") == hashlib.sha256(DATA).hexdigest()
    assert not hub.seen


@pytest.mark.parametrize("known", [True, False])
def test_more_than_the_file_starts_over(served, tmp_path, known):
    _hub, where = served
    (tmp_path / "p").write_bytes(DATA + b"more")
    where = where if known else Location(where.url)
    assert run(where, tmp_path / "p") == hashlib.sha256(DATA).hexdigest()


def test_a_size_that_nobody_states_is_the_bodys(served, tmp_path):
    hub, where = served
    hub.fault("cut", path="/lfs/", after=5000)
    steps = []
    done = run(
        Location(where.url), tmp_path / "p", progress=lambda d, total: steps.append((d, total))
    )
    assert done == hashlib.sha256(DATA).hexdigest()
    assert steps[-1] == (len(DATA), len(DATA))


def test_five_tries_without_a_byte_are_enough(served, tmp_path):
    hub, where = served
    hub.fault("status", path="/lfs/", status=500, times=99)
    said = []
    with pytest.raises(HubError, match="is down: HTTP 500"):
        run(where, tmp_path / "p", note=said.append)
    assert len(said) == stream.RETRIES
    assert len(hub.asked("/lfs/")) == 0 or hub.faults[0].times == 99 - 1 - stream.RETRIES


def test_a_refusal_is_final_at_once(served, tmp_path):
    hub, where = served
    hub.fault("status", path="/lfs/", status=404, times=9)
    with pytest.raises(HubError, match="refused"):
        run(where, tmp_path / "p")
    assert hub.faults[0].times == 8


def test_retry_after_is_capped():
    wait = stream._wait_before_retry(
        stream.BadStatus(429, "", {"retry-after": "86400"}), 1, first=True
    )
    assert wait == stream.LONGEST_WAIT_S
    asked = stream._wait_before_retry(
        stream.BadStatus(429, "", {"ratelimit": '"api";r=0;t=7'}), 1, first=True
    )
    assert asked == 7


def test_a_host_that_does_not_exist_is_an_answer_at_once(here, tmp_path):
    where = Location("http://no-such-host.invalid/x")
    with pytest.raises(HubError, match="cannot reach"):
        run(where, tmp_path / "p")


def test_backoff_grows_to_eight_seconds():
    assert [stream.backoff(n) for n in range(1, 8)] == [0.5, 1, 2, 4, 8, 8, 8]


def test_a_folder_that_cannot_be_made(served, tmp_path):
    _hub, where = served
    (tmp_path / "file").write_text("")
    with pytest.raises(DiskError):
        run(where, tmp_path / "file" / "p")


def test_a_bug_of_ours_is_not_dressed_up(tmp_path):
    def broken():
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        download(broken, tmp_path / "p", subject=Subject())


def test_a_location_does_not_show_its_headers():
    assert "secret" not in repr(Location("u", {"authorization": "secret"}))


def test_an_empty_file_is_there_when_it_has_come(here, tmp_path):
    assert (
        run(Location("http://127.0.0.1:9/x", {}, 0), tmp_path / "p") == hashlib.sha256().hexdigest()
    )
    assert (tmp_path / "p").read_bytes() == b""


def test_the_file_that_may_not_grow_is_named(served, tmp_path):
    resource = pytest.importorskip("resource")
    _hub, where = served
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, before[1]))
    try:
        with pytest.raises(DiskError, match=r"cannot write .*/p: File too large"):
            run(where, tmp_path / "p")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
