"""``zoo push`` as it is typed."""

import pytest
from loopback_weights import ours


@pytest.fixture
def run(home):
    folder = home.work / "runs" / "one"
    folder.mkdir(parents=True)
    (folder / "model.safetensors").write_bytes(ours())
    return home


@pytest.fixture
def ann(hub):
    return {"HF_TOKEN": hub.store.token("ann")}


def test_push_push_again_and_pull(hub, run, ann):
    done = run.zoo("push", "one", "ann/net", "--licence", "MIT", "--private", env=ann)
    assert done.code == 0, done.err
    repo = hub.store.repos["ann/net"]
    assert repo.private
    assert done.out.splitlines()[0] == f"pushed 3 files to ann/net, commit {repo.head.oid[:12]}"
    again = run.zoo("push", "one", "ann/net", env=ann)
    assert again.out.strip() == (
        f"ann/net has all of this already (commit {repo.head.oid[:12]}): nothing pushed"
    )
    told = run.zoo("push", "one", "ann/net", "--json", env=ann).json()
    assert (told["changed"], told["commit"]) == (False, repo.head.oid)
    assert run.zoo("pull", "hub:ann/net", env=ann).code == 0
    secret = ann["HF_TOKEN"]
    assert secret not in done.out + done.err + again.out + again.err


def test_a_dry_run_writes_nothing(hub, run):
    done = run.zoo("push", "one", "ann/net", "--licence", "mit", "--dry-run")
    assert done.code == 0, done.err
    assert "new repository" in done.out
    assert "README.md" in done.out
    assert "## How to load" in done.out
    assert not hub.store.repos
    assert all(s.method == "GET" for s in hub.seen)
    plan = run.zoo("push", "one", "ann/net", "--licence", "mit", "--dry-run", "--json").json()
    assert {f["path"] for f in plan["files"]} == {"model.safetensors", "config.json", "README.md"}


def test_tokens(hub, run):
    hub.store.create("ann/net")
    for token, code, message in (
        (None, 6, "not logged in to the Hub"),
        ("hf_wrong", 6, "was not accepted"),
        (hub.store.token("ann", "read"), 6, "may not write to ann/net"),
        (hub.store.token("bob"), 6, "may not write to ann/net"),
    ):
        done = run.zoo("push", "one", "ann/net", "--licence", "mit", env={"HF_TOKEN": token})
        assert (done.code, message in done.error) == (code, True), done.err
        assert done.hint
        assert not token or token not in done.err + done.out
    debug = run.zoo(
        "push",
        "one",
        "ann/net",
        "--licence",
        "mit",
        env={"HF_TOKEN": "hf_wrong", "ZOO_DEBUG": "1", "HF_DEBUG": "1"},
    )
    assert "Traceback" in debug.err
    assert "hf_wrong" not in debug.err + debug.out


def test_no_token_over_plain_http(run):
    env = {"HF_ENDPOINT": "http://hub.example", "HF_TOKEN": "hf_secret"}
    done = run.zoo("push", "one", "ann/net", "--licence", "mit", env=env)
    assert done.code == 6
    assert "refusing to send the token of HF_TOKEN in the clear to hub.example" in done.error
    assert "hf_secret" not in done.err


def test_a_branch_and_a_pull_request(hub, run, ann):
    assert run.zoo("push", "one", "ann/net", "--licence", "mit", env=ann).code == 0
    head = hub.store.repos["ann/net"].head.oid
    done = run.zoo("push", "one", "ann/net", "--licence", "isc", "--revision", "next", env=ann)
    assert done.code == 0, done.err
    done = run.zoo(
        "push", "one", "ann/net", "--licence", "isc", "--create-pr", "--message", "x", env=ann
    )
    assert "/discussions/1" in done.out
    assert hub.store.repos["ann/net"].head.oid == head
    assert set(hub.store.repos["ann/net"].refs) == {
        "refs/heads/main",
        "refs/heads/next",
        "refs/pr/1",
    }


def test_what_cannot_be_pushed(run, ann):
    for argv, code, message in (
        (["two", "ann/net"], 5, "no run and no file 'two'"),
        (["one", "ann"], 2, "is not where a push goes"),
        (["one", "ann/net"], 2, "nobody states a licence"),
    ):
        done = run.zoo("push", *argv, env=ann)
        assert (done.code, message in done.error) == (code, True), done.err


def test_a_hub_that_an_overlay_names_gets_no_token_and_that_is_said(hub, run, ann):
    text = f"schema = 1\n[hub]\nendpoint = '{hub.endpoint}'\n"
    (run.work / "registry.toml").write_text(text)
    for env in ({**ann, "HF_ENDPOINT": None}, {"HF_ENDPOINT": None}):
        done = run.zoo("push", "one", "ann/net", "--licence", "mit", env=env)
        held = f"the token of HF_TOKEN is not sent to {hub.endpoint}, which an overlay names"
        assert done.error == f"error: {held if 'HF_TOKEN' in env else 'not logged in to the Hub'}"
    assert not hub.store.repos
    env = {**ann, "HF_ENDPOINT": hub.endpoint}
    assert run.zoo("push", "one", "ann/net", "--licence", "mit", "--private", env=env).code == 0
    done = run.zoo("pull", "hub:ann/net", env={**ann, "HF_ENDPOINT": None})
    assert (done.code, "or it is private: the token of HF_TOKEN" in done.error) == (6, True), (
        done.err
    )
    assert f"HF_ENDPOINT={hub.endpoint} zoo ... sends it" in done.hint


def test_a_branch_that_is_made_is_said_even_if_nothing_else_is_new(hub, run, ann):
    assert run.zoo("push", "one", "ann/net", "--licence", "mit", env=ann).code == 0
    head = hub.store.repos["ann/net"].head.oid
    done = run.zoo("push", "one", "ann/net", "--revision", "next", env=ann)
    assert done.out.splitlines() == [
        "made branch next of ann/net", f"  it has all of this already (commit {head[:12]})",
    ]  # fmt: skip
    told = run.zoo("push", "one", "ann/net", "--revision", "other", "--json", env=ann).json()
    assert (told["changed"], told["branch"], told["commit"]) == (True, "other", head)
    assert "nothing pushed" in run.zoo("push", "one", "ann/net", "--revision", "next", env=ann).out
    hub.seen.clear()
    for wrong in ("../x", "a b", head):
        done = run.zoo("push", "one", "ann/net", "--revision", wrong, env=ann)
        assert done.code == 2, done.err
    assert not hub.seen
