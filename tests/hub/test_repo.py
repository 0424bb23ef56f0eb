"""Repositories are resolved once; without the Hub what is cached is served, and said."""

import pickle

import pytest
from loopback_weights import repository

from zoo.errors import HubError
from zoo.hub import cache, pull
from zoo.hub.address import Address
from zoo.hub.repo import open_repo, patiently

NET = Address("ann/net")


@pytest.fixture
def net(here):
    repository(here, "ann/net", {"config.json": {"a": 1}, "README.md": "---\nlicense: mit\n---\n"})
    return here


def test_one_question_gives_commit_files_and_card(net):
    repo = open_repo(NET)
    assert repo.commit == net.store.repos["ann/net"].head.oid
    assert set(repo.files) == {".gitattributes", "README.md", "config.json"}
    assert (
        repo.files["config.json"].digest == net.store.repos["ann/net"].head.files["config.json"].oid
    )
    assert repo.licence == "mit"
    assert len(net.seen) == 1


@pytest.mark.parametrize("revision", ["v1", "refs/pr/1", "dev"])
def test_any_kind_of_revision(net, revision):
    oid = net.store.repos["ann/net"].head.oid
    net.store.tag("ann/net", "v1")
    net.store.branch("ann/net", "dev")
    net.store.repos["ann/net"].refs["refs/pr/1"] = oid
    net.store.commit("ann/net", {"x": b"later"})
    assert open_repo(Address("ann/net", revision)).commit == oid


def test_unknown_revision_lists_branches_and_tags(net):
    net.store.tag("ann/net", "v1")
    with pytest.raises(HubError, match="no revision 'v9'") as error:
        open_repo(Address("ann/net", "v9"))
    assert "branch main, tag v1" in error.value.hint


def test_missing_and_private_look_alike_without_a_token(net, monkeypatch):
    net.store.create("bob/secret", private=True)
    for name in ("bob/secret", "bob/nothing"):
        with pytest.raises(
            HubError, match=f"no repository {name} on .*, or it is private"
        ) as error:
            open_repo(Address(name))
        assert "hf auth login" in error.value.hint
    monkeypatch.setenv("HF_TOKEN", net.store.token("ann"))
    with pytest.raises(HubError, match="the token of HF_TOKEN may not see it"):
        open_repo(Address("bob/secret"))
    monkeypatch.setenv("HF_TOKEN", net.store.token("bob"))
    assert open_repo(Address("bob/secret")).commit


def test_near_names_come_from_the_cache(net):
    pull.pull_file(open_repo(NET), "config.json")
    with pytest.raises(HubError) as error:
        open_repo(Address("ann/nett"))
    assert "known here: ann/net" in error.value.hint


def test_wrong_token_names_its_origin_and_never_itself(net, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_wrongwrongwrong")
    with pytest.raises(HubError, match=r"token \(HF_TOKEN\) was not accepted") as error:
        open_repo(NET)
    cause = error.value.__cause__
    assert "authorization" not in cause.response.request.headers
    for thing in (error.value, cause):
        assert b"hf_wrongwrongwrong" not in pickle.dumps(thing) + str(thing).encode()


def test_offline_serves_the_cache_without_a_request(net, monkeypatch):
    pull.pull_file(open_repo(NET), "config.json")
    net.seen.clear()
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    repo = open_repo(NET)
    assert not repo.online
    assert repo.commit == net.store.repos["ann/net"].head.oid
    assert pull.pull_file(repo, "config.json").read_bytes() == b'{"a": 1}'
    with pytest.raises(HubError, match="offline mode: hub:ann/other is not in the cache"):
        open_repo(Address("ann/other"))
    with pytest.raises(HubError, match="ann/net@v9 is not in the cache; cached: main"):
        open_repo(Address("ann/net", "v9"))
    assert not net.seen


def test_a_hub_that_is_down_gives_the_cached_copy_and_says_so(net):
    pull.pull_file(open_repo(NET), "config.json")
    net.fault("status", path="/api/models", status=500)
    repo = open_repo(NET)
    assert not repo.online
    assert "HTTP 500: using the cached copy of hub:ann/net, commit " in repo.notes[0]
    net.stop()
    assert "out of reach: using the cached copy" in open_repo(NET).notes[0]


def test_a_hub_that_is_gone_is_an_answer_at_once(net):
    import time

    net.stop()
    started = time.monotonic()
    with pytest.raises(HubError, match=r"cannot reach http://127.0.0.1:\d+ \(Connection refused\)"):
        open_repo(NET)
    assert time.monotonic() - started < 3


def test_a_5xx_and_a_429_are_waited_out(net):
    said = []
    net.fault("status", path="/api/models", status=502, times=2)
    net.fault("status", path="/api/models", status=429, headers={"Retry-After": "0"})
    assert open_repo(NET, note=said.append).commit
    assert len(said) == 3
    net.fault("status", path="/api/models", status=503, times=9, headers={"X-Request-Id": "r1"})
    with pytest.raises(HubError, match=r"is down: HTTP 503"):
        open_repo(NET)


def test_a_refusal_is_not_repeated(net):
    net.fault("status", path="/api/models", status=403, times=9)
    with pytest.raises(HubError, match=r"without a token, .* does not let you read ann/net"):
        open_repo(NET)
    assert len(net.seen) == 1


def test_something_else_than_a_hub(net):
    net.fault("status", path="/api/models", status=200)
    with pytest.raises(HubError, match="does not answer like a Hub"):
        open_repo(NET)


def test_patiently_passes_other_errors_on():
    with pytest.raises(ZeroDivisionError):
        patiently(lambda: 1 / 0)


def test_the_cache_is_the_clients_own(net):
    from huggingface_hub import try_to_load_from_cache

    path = pull.pull_file(open_repo(NET), "config.json")
    found = try_to_load_from_cache("ann/net", "config.json", cache_dir=cache.hub_cache())
    assert found == str(path)


def test_what_must_be_fresh_is_not_answered_from_the_cache(net, monkeypatch):
    pull.pull_file(open_repo(NET), "config.json")
    monkeypatch.setenv("ZOO_OFFLINE", "1")
    assert open_repo(NET).commit
    with pytest.raises(HubError, match="offline mode: hub:ann/net cannot be asked for anew"):
        open_repo(NET, fresh=True)
